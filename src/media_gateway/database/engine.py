"""The PostgreSQL extension that holds the vectors, and the names that it gives its parts.

pgvector is the reference. RuVector calls the same parts by other names; the schema and the statements are templates
that an `Engine` fills in.
"""

from dataclasses import dataclass
from typing import Final, Literal

EngineName = Literal["vector", "ruvector"]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """The names by which one extension knows a vector, its index and its knobs.

    All are identifiers of ours, never of a caller. *oldest* is the first version without known corruption, or None
    when only a self-test can tell.
    """

    name: EngineName
    vector_type: str
    access_method: str
    cosine_ops: str
    inner_ops: str
    norm_function: str
    ef_search: str
    iterative_scan: str | None
    walk_limit: str | None
    walk_memory: str | None
    oldest: tuple[int, int, int] | None
    has_halfvec: bool = False


PGVECTOR: Final = Engine(
    name="vector",
    vector_type="vector",
    access_method="hnsw",
    cosine_ops="vector_cosine_ops",
    inner_ops="vector_ip_ops",
    norm_function="vector_norm",
    ef_search="hnsw.ef_search",
    iterative_scan="hnsw.iterative_scan",
    walk_limit="hnsw.max_scan_tuples",
    walk_memory="hnsw.scan_mem_multiplier",
    oldest=(0, 8, 4),  # before it, concurrent inserts and vacuum could corrupt an HNSW index
    has_halfvec=True,
)

RUVECTOR: Final = Engine(
    name="ruvector",
    vector_type="ruvector",
    access_method="hnsw",
    cosine_ops="ruvector_cosine_ops",
    inner_ops="ruvector_ip_ops",
    norm_function="ruvector_norm",
    ef_search="ruvector.ef_search",
    iterative_scan=None,
    walk_limit=None,
    walk_memory=None,
    oldest=None,
)

ENGINES: Final[dict[EngineName, Engine]] = {"vector": PGVECTOR, "ruvector": RUVECTOR}


def version_numbers(version: str) -> tuple[int, ...]:
    """Return "0.8.10" as (0, 8, 10), so that versions compare as numbers; a part that is no number counts as 0."""
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))
