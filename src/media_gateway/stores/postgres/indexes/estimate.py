"""What an HNSW index takes: pages on disk, memory while it is built, and time.

Sizes follow from the layout of pgvector 0.8 (src/hnsw.h, src/hnswbuild.c, src/hnswutils.c) and are exact to a percent:
100,000 vectors of 768 numbers give 391 MiB, as measured. Times are scaled from a measured build.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from media_gateway.database.index_definitions import IndexDefinition

IndexForm: TypeAlias = Literal["vector", "halfvec", "bit"]
"""How an index stores a number: 4 bytes, 2 bytes, or one bit."""

_PAGE: Final = 8192
_PAGE_ROOM: Final = 8160
"""Bytes of a page without its header and what HNSW keeps at its end."""
_LINE_POINTER: Final = 4
_ELEMENT_HEAD: Final = 72
_NEIGHBOUR_HEAD: Final = 4
_NEIGHBOUR: Final = 6
_VECTOR_HEAD: Final = 8
_NODE: Final = 162
"""Bytes of a node in memory without vector and links, with what the allocator adds: from the row at which pgvector says
that maintenance_work_mem is full, the same within two bytes for both kinds and m of 8, 16 and 32."""
_LINK: Final = 16
_LINKS_HEAD: Final = 16
_NUMBER_BITS: Final[dict[IndexForm, int]] = {"vector": 32, "halfvec": 16, "bit": 1}
_SPARE: Final = 4 * 2**20
"""Bytes of maintenance_work_mem that a parallel build keeps for other things: 3 MiB, and one to spare."""


@dataclass(frozen=True, kw_only=True)
class BuildRate:
    """A build that was measured: *seconds* for *rows* vectors of *dimension* numbers into *definition*.

    *source* says where.
    """

    rows: int
    dimension: int
    definition: IndexDefinition
    seconds: float
    source: str


@dataclass(frozen=True, kw_only=True)
class IndexEstimate:
    """What building an index takes: bytes of maintenance_work_mem and disk, and seconds, None when nobody measured.

    *source* says what the time is scaled from.
    """

    rows: int
    dimension: int
    definition: IndexDefinition
    memory_bytes: int
    disk_bytes: int
    seconds: float | None
    source: str


MEASURED_RATE: Final = BuildRate(
    rows=100_000,
    dimension=768,
    definition=IndexDefinition(kind="vector"),
    seconds=77.0,
    source="100,000 vectors of 768 numbers on 2 cores (77 s)",
)
"""What is scaled from where no build was measured on the server itself."""


def estimate_index(
    rows: int, dimension: int, definition: IndexDefinition, *, rate: BuildRate | None = None
) -> IndexEstimate:
    """Return what building *definition* over *rows* vectors of *dimension* numbers takes, its time scaled from *rate*."""
    return IndexEstimate(
        rows=rows,
        dimension=dimension,
        definition=definition,
        memory_bytes=graph_bytes(rows, dimension, definition.kind, definition.m),
        disk_bytes=index_bytes(rows, dimension, definition.kind, definition.m),
        seconds=None if rate is None else scaled_seconds(rate, rows, dimension, definition),
        source="not measured" if rate is None else rate.source,
    )


def graph_bytes(rows: int, dimension: int, form: IndexForm, m: int) -> int:
    """Return the maintenance_work_mem that holds the whole graph of *rows* vectors while it is built.

    A node has its vector, 2 m links on the lowest layer and m on each further one; one node in m reaches the next
    layer. Where the graph outgrows that memory, pgvector goes on on disk, many times slower.
    """
    layers_above = 1 / (m - 1)
    links = _LINKS_HEAD + 2 * m * _LINK + layers_above * (_LINKS_HEAD + m * _LINK)
    return math.ceil(rows * (_NODE + _value_bytes(dimension, form) + links)) + _SPARE


def index_bytes(rows: int, dimension: int, form: IndexForm, m: int) -> int:
    """Return the bytes of the finished index: nodes and their links share a page where both fit."""
    element = _aligned(_ELEMENT_HEAD + _value_bytes(dimension, form))
    neighbours = _aligned(_NEIGHBOUR_HEAD + _NEIGHBOUR * 2 * m) + _aligned(_NEIGHBOUR * m) / (m - 1)
    together = element + neighbours + 2 * _LINE_POINTER
    pages = math.ceil(rows / (_PAGE_ROOM // together)) if together <= _PAGE_ROOM else 2 * rows
    return (pages + 1) * _PAGE


def scaled_seconds(rate: BuildRate, rows: int, dimension: int, definition: IndexDefinition) -> float:
    """Return how long a build takes that does the work of *rate* so many times over."""
    measured = _work(rate.rows, rate.dimension, rate.definition)
    return rate.seconds * _work(rows, dimension, definition) / measured


def _work(rows: int, dimension: int, definition: IndexDefinition) -> float:
    # Each insert compares with some multiple of ef_construction rows, a little more the larger the graph is; a
    # comparison reads the vector. The exponents fit the builds in docs/howto/capacity.md.
    compared = rows * math.log2(max(rows, 2)) * definition.ef_construction**0.75
    return compared * (dimension + 128)


def _value_bytes(dimension: int, form: IndexForm) -> int:
    return _aligned(_VECTOR_HEAD + math.ceil(dimension * _NUMBER_BITS[form] / 8))


def _aligned(size: int) -> int:
    return -(-size // 8) * 8
