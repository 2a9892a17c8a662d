"""How large a collection of so many vectors becomes, how long its index takes, how quick it is, and what fits a machine.

Sizes follow from the layout of pages and hold to a few percent. Times are fitted to measured points; beyond the largest
of those they are projections and say so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from media_gateway.database.index_definitions import IndexDefinition
from media_gateway.stores.postgres.indexes.estimate import (
    BuildRate,
    IndexForm,
    graph_bytes,
    index_bytes,
    scaled_seconds,
)

Basis: TypeAlias = Literal["measured", "projected"]

SHORT_DIMENSION: Final = 256
"""Numbers of the shortened vectors that are reckoned with: models of OpenAI and Google keep most of their sense there."""
_PAGE: Final = 8192
_PAGE_ROOM: Final = 8168
_ROW_HEAD: Final = 32
_LONGEST_IN_ROW: Final = 1_600
_PIECE: Final = 1_996
_PIECES_IN_PAGE: Final = 4
_CACHE_SHARE: Final = 0.75
"""Share of a machine's memory that can hold pages: PostgreSQL's manual gives effective_cache_size as much."""
_BUILD_SHARE: Final = 0.5
_VISITED: Final = 6.0
"""Nodes that a search of width ef reads for each of ef: some 1,500 pages were read at ef 64 in 4 partitions."""
_READ_MS: Final = 0.2
"""Milliseconds of a random read of a page from a solid-state disk behind a hypervisor."""
_TAIL: Final = 1.75
"""Times the p50 that a p95 is at most: 2.42 / 1.40 ms at 100,000, and less at a million."""
_NEAR: Final = 1.5
"""Times the largest measured collection, and the numbers of its vectors, up to which a figure counts as measured."""


@dataclass(frozen=True, kw_only=True)
class CapacityPoint:
    """What was measured on a collection of *rows*, its index in memory; None for what was not."""

    rows: int
    dimension: int
    kind: Literal["vector", "halfvec"] = "vector"
    m: int = 16
    ef_construction: int = 64
    ef_search: int = 64
    build_seconds: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    recall: float | None = None


MEASURED: Final[tuple[CapacityPoint, ...]] = (
    CapacityPoint(
        rows=100_000,
        dimension=768,
        kind="halfvec",
        ef_search=40,
        build_seconds=54,
        p50_ms=1.70,
        p95_ms=2.45,
        recall=0.966,
    ),
    CapacityPoint(
        rows=1_000_000,
        dimension=768,
        kind="halfvec",
        ef_search=97,
        build_seconds=650,
        p50_ms=5.00,
        p95_ms=6.86,
        recall=0.950,
    ),
)
"""Of docs/benchmarks.md: made-up vectors of 768 numbers with the clusters and the spectrum of real ones, 2 cores, one client."""


@dataclass(frozen=True, kw_only=True)
class CapacityModel:
    """What was fitted: times grow with a power of the number of rows; *largest* is the largest number measured."""

    p50: tuple[float, float]
    p95: tuple[float, float]
    rate: BuildRate
    largest: int
    ef_search: int

    def p50_at(self, rows: int) -> float:
        """Return the milliseconds of the median search among *rows*."""
        return _at(self.p50, rows)

    def p95_at(self, rows: int) -> float:
        """Return the milliseconds that 95 of 100 searches among *rows* stay below."""
        return _at(self.p95, rows)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to index the collection; bytes, seconds and milliseconds.

    *build_memory* holds the graph while it is built. *cold_p50_ms* is a search that finds nothing in memory. *fits* says
    whether the index fits the memory of the machine asked for, None when none was named; *partitions* is in how many parts the
    index must be built there so that each part's graph fits. *is_offered* tells whether this program builds and searches
    it. *basis* says how far the times are measured.
    """

    name: str
    index_bytes: int
    build_memory: int
    build_seconds: float
    p50_ms: float
    p95_ms: float
    cold_p50_ms: float
    needs_memory: int
    fits: bool | None
    partitions: int | None
    is_offered: bool
    basis: Basis


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What *rows* vectors of *dimension* numbers take: the table's bytes, and the ways to index them, largest first."""

    rows: int
    dimension: int
    heap_bytes: int
    variants: Sequence[Variant]


def fit(points: Sequence[CapacityPoint]) -> CapacityModel:
    """Return the model of *points*: least squares of the logarithms.

    Points of one size only are taken to grow as those of `MEASURED` do; a p95 that is missing is reckoned from the p50.
    Raises ValueError when no point has a latency or none a build.
    """
    searched = [point for point in points if point.p50_ms is not None]
    built = [point for point in points if point.build_seconds is not None]
    if not searched or not built:
        raise ValueError("no point has both a latency and a build to fit; measure at least one collection")
    largest = max(built, key=lambda point: point.rows)
    return CapacityModel(
        p50=_power([(point.rows, point.p50_ms or 0.0) for point in searched]),
        p95=_power([(point.rows, point.p95_ms or _TAIL * (point.p50_ms or 0.0)) for point in searched]),
        rate=BuildRate(
            rows=largest.rows,
            dimension=largest.dimension,
            definition=IndexDefinition(kind=largest.kind, m=largest.m, ef_construction=largest.ef_construction),
            seconds=largest.build_seconds or 0.0,
            source=f"{largest.rows:,} vectors of {largest.dimension} numbers",
        ),
        largest=max(point.rows for point in searched),
        ef_search=max(searched, key=lambda point: point.rows).ef_search,
    )


def capacity(
    rows: int, dimension: int, *, memory: int | None = None, m: int = 16, row_bytes: int = 900, model: CapacityModel
) -> Capacity:
    """Return what *rows* vectors of *dimension* numbers take, and which ways to index them fit *memory* bytes.

    *row_bytes* are those of a row beside its vector, 900 for a film with its generated columns.
    """
    heap = heap_bytes(rows, dimension, row_bytes)
    forms: list[tuple[str, IndexForm, int, bool]] = [
        ("vector", "vector", dimension, dimension <= 2_000),  # noqa: PLR2004  pgvector's limit
        ("halfvec", "halfvec", dimension, True),
        (f"halfvec of the first {SHORT_DIMENSION} numbers", "halfvec", min(SHORT_DIMENSION, dimension), False),
        ("bits", "bit", dimension, False),
    ]
    return Capacity(
        rows=rows,
        dimension=dimension,
        heap_bytes=heap,
        variants=[
            _variant(name, form, is_offered=is_offered, rows=rows, numbers=numbers, m=m, memory=memory, model=model)
            for name, form, numbers, is_offered in forms
            if form != "vector" or is_offered
        ],
    )


def heap_bytes(rows: int, dimension: int, row_bytes: int) -> int:
    """Return the bytes of the table: whole rows in pages, vectors that do not fit a page beside them."""
    row = _ROW_HEAD + row_bytes + dimension * 4 + 8
    if dimension <= _LONGEST_IN_ROW:
        return math.ceil(rows / max(1, _PAGE_ROOM // row)) * _PAGE
    pieces = math.ceil(dimension * 4 / _PIECE)
    beside = math.ceil(rows * pieces / _PIECES_IN_PAGE)
    return (math.ceil(rows / (_PAGE_ROOM // (row - dimension * 4))) + beside) * _PAGE


def _variant(
    name: str,
    form: IndexForm,
    *,
    is_offered: bool,
    rows: int,
    numbers: int,
    m: int,
    memory: int | None,
    model: CapacityModel,
) -> Variant:
    size = index_bytes(rows, numbers, form, m)
    graph = graph_bytes(rows, numbers, form, m)
    definition = IndexDefinition(kind="halfvec" if form != "vector" else "vector", m=m, ef_construction=max(64, 2 * m))
    p50 = model.p50_at(rows)
    needs = math.ceil(size / _CACHE_SHARE)
    return Variant(
        name=name,
        index_bytes=size,
        build_memory=graph,
        build_seconds=scaled_seconds(model.rate, rows, numbers, definition),
        p50_ms=p50,
        p95_ms=model.p95_at(rows),
        cold_p50_ms=p50 + _VISITED * model.ef_search * _READ_MS,
        needs_memory=needs,
        fits=None if memory is None else needs <= memory,
        partitions=None if memory is None else math.ceil(graph / (memory * _BUILD_SHARE)),
        is_offered=is_offered,
        basis="measured" if is_offered and _is_near(rows, numbers, model) else "projected",
    )


def _is_near(rows: int, numbers: int, model: CapacityModel) -> bool:
    return rows <= _NEAR * model.largest and numbers <= _NEAR * model.rate.dimension


_USUAL_POWER: Final = 0.47
"""What 100,000 and a million gave."""


def _power(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Return a and b of a * rows ** b through *points*."""
    logs = [(math.log(rows), math.log(value)) for rows, value in points]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    spread = sum((x - mean_x) ** 2 for x, _ in logs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in logs) / spread if spread else _USUAL_POWER
    return math.exp(mean_y - slope * mean_x), slope


def _at(curve: tuple[float, float], rows: int) -> float:
    return curve[0] * max(rows, 1) ** curve[1]
