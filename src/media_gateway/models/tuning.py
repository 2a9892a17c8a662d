"""What tuning measured and chose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

QuerySource: TypeAlias = Literal["searches", "records"]


@dataclass(frozen=True, kw_only=True)
class TunedClass:
    """One kind of search: those whose filter passes *share* of the records, 1 for those without a filter.

    *ef_search* is the width of the index search, *factor* how many times k candidates are fetched. The recall at k has a
    confidence interval of 95 percent, from *recall_low* to *recall_high*; *reached* tells that its lower end is at
    the target. *p50_ms* is the median time of a search by one client.
    """

    share: float
    ef_search: int
    factor: float
    recall: float
    recall_low: float
    recall_high: float
    p50_ms: float
    reached: bool


@dataclass(frozen=True, kw_only=True)
class IndexTrial:
    """An index built on a sample of *rows* records, and what it needs there to reach the target.

    *ef_search* is None where no width reached it. *build_seconds* and *index_bytes* are the sample's own;
    *whole_build_seconds* and *whole_index_bytes* are projected from them to the whole collection.
    """

    kind: str
    m: int
    ef_construction: int
    rows: int
    ef_search: int | None
    recall: float
    p50_ms: float
    build_seconds: float
    index_bytes: int
    whole_build_seconds: float
    whole_index_bytes: int


@dataclass(frozen=True, kw_only=True)
class TuningReport:
    """What `Tunes.tune` measured on *rows* records with *sample* queries, and whether it was *applied*.

    *queries_from* is `searches` for logged ones and `records` for records moved away from their places. The first of
    *classes* is the search without a filter. *turn* is the number of passing records from which on the index is the
    cheaper way for *k*. *advice* are sentences about indexes that would do better.
    """

    index: str
    rows: int
    k: int
    target: float
    sample: int
    queries_from: QuerySource
    classes: Sequence[TunedClass]
    turn: int
    advice: Sequence[str]
    trials: Sequence[IndexTrial]
    seconds: float
    applied: bool

    @property
    def ef_search(self) -> int:
        """The width chosen for searches without a filter."""
        return self.classes[0].ef_search
