"""A search, its answer, and the figures of a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from media_gateway.filters import Condition
from media_gateway.models.records import Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchRequest:
    """What to look for: *vector* alone is dense search, *text* alone keyword search, both are hybrid.

    *k* is 1..10,000. *min_score* is strict: hits score above it. *where* filters exactly. The keys in *exclude* are
    left out. *exact* asks for a scan of everything that passes, whatever it costs, with ties in the order of keys.
    """

    vector: Vector | None = None
    text: str | None = None
    k: int = 10
    min_score: float | None = None
    where: Condition | None = None
    exclude: Sequence[str] = ()
    exact: bool = False


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One answer: *score* is the cosine similarity in [-1, 1] on the stored float32 vectors."""

    key: str
    score: float
    metadata: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The hits, best first, equal scores in the order of their keys.

    *exact* tells that everything that passes the filter was compared. *exhausted* tells that fewer than k hits came
    back because nothing further qualifies: no more records pass the filter, or the next best scores too low.
    """

    hits: list[Hit]
    exact: bool
    exhausted: bool


@dataclass(frozen=True, kw_only=True)
class StoreStats:
    """The size and make of a collection: *count* records of *dimension* numbers made by *model*, sizes in bytes.

    *dimension* and *model* are None while nothing was ever stored. *index* names what searches use now, and is None
    when they scan; *details* holds what one kind of store adds.
    """

    backend: str
    count: int
    dimension: int | None
    model: str | None
    table_bytes: int
    index_bytes: int
    index: str | None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
