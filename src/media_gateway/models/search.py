"""A search, its answer, and the figures of a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self, TypeAlias

from media_gateway.filters import Condition
from media_gateway.models.records import Vector

SearchMode: TypeAlias = Literal["meaning", "words", "hybrid"]
Matched: TypeAlias = Literal["meaning", "words", "both"]

MAX_WEIGHT: Final = 1_000.0


@dataclass(frozen=True, kw_only=True)
class HybridWeights:
    """What a rank among the words found, *text*, and one among the nearest vectors, *vector*, count for a hybrid search.

    Only their ratio matters; twice as much for words did best on judged queries (benchmarks/hybrid_search.py). Both are from 0 to 1,000, and not both 0.
    """

    text: float = 2.0
    vector: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchRequest:
    """What to look for: *vector* alone is dense search, *text* alone keyword search, both are hybrid.

    *k* is 1..10,000. *min_score* is strict: hits score above it. *where* filters exactly. The keys in *exclude* are
    left out. *exact* asks for a scan of everything that passes, whatever it costs, with ties in the order of keys.
    *weights* are for hybrid search; None takes those of the store. Who asks, *user*, changes nothing of the answer; a rollout by percent sends each user to the same store.
    """

    vector: Vector | None = None
    text: str | None = None
    k: int = 10
    min_score: float | None = None
    where: Condition | None = None
    exclude: Sequence[str] = ()
    exact: bool = False
    weights: HybridWeights | None = None
    user: str | None = None


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One answer: *score* is the cosine similarity in [-1, 1] on the stored float32 vectors.

    A keyword search compares no vectors: its *score* is the share of the text's words that the record holds, 0 to 1,
    where rare words count more than common ones, and words in the title more than elsewhere.

    Hits of a hybrid search are in the order of *rank_score*, which the ranks of both sides give; *matched* tells which
    side found the hit. Both are None in other searches, but *matched* is "words" in a keyword search.
    """

    key: str
    score: float
    metadata: dict[str, Any]
    rank_score: float | None = None
    matched: Matched | None = None

    @classmethod
    def of(cls, key: str, score: float, metadata: dict[str, Any]) -> Self:
        """Return the hit of a search by vector: what the constructor does in a quarter of the time.

        That of a frozen dataclass sets each field by a call.
        """
        hit = cls.__new__(cls)
        fields = hit.__dict__
        fields["key"], fields["score"], fields["metadata"] = key, score, metadata
        return hit


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
