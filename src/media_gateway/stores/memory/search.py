"""How a search is answered: which records are compared, and by which way they are found."""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from media_gateway.json_values import parse
from media_gateway.models import Explanation, Hit, SearchRequest, SearchResult
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.exact import GATHERING_COST, Query, above, nearest, rows_read
from media_gateway.stores.memory.index import NAME
from media_gateway.stores.memory.records import Mask, RecordsView, Slots

_MARGIN = 1.2
"""Candidates fetched over the number that would be needed if the filter were spread evenly."""
_GROWTH = 4
"""By how much more candidates are fetched when the first were too few."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contest:
    """The records that are compared for a request, and *exact*: whether they are all that qualify.

    *matching* records qualify, *reason* says why these are compared, and *expansion* is the width of the index search
    that found them, None where it was not used.
    """

    records: RecordsView
    slots: Slots
    request: SearchRequest
    query: Query
    exact: bool
    matching: int
    reason: str
    expansion: int | None

    @property
    def floats(self) -> int:
        """About how many numbers are read to answer."""
        return rows_read(self.slots) * len(self.query.unit)

    def result(self) -> SearchResult:
        """Compare them, which may be done in any thread."""
        request = self.request
        best = nearest(self.records, self.slots, self.query, request.k) if len(self.slots) else []
        found = above(best, request.min_score)
        hits = [
            Hit(key=self.records.keys[one.slot], score=one.score, metadata=parse(self.records.metadata[one.slot]))
            for one in found
        ]
        return SearchResult(hits=hits, exact=self.exact, exhausted=len(hits) < request.k)


def contest(collection: Collection, request: SearchRequest) -> Contest | None:
    """Return who competes for *request*, or None when `Collection.prepare` has to be called first."""
    if request.vector is None:
        raise ValueError("a request without a vector")
    query = Query(request.vector)
    with collection.lock:
        if request.where is not None and collection.columns.missing(request.where):
            return None
        field = _Field(collection, request)
        candidates = field.by_index(query)
        slots = field.slots() if candidates is None else candidates
        exact = len(slots) == field.matching
        return Contest(
            records=collection.records.view(),
            slots=slots,
            request=request,
            query=query,
            exact=exact,
            matching=field.matching,
            reason=field.reason,
            expansion=None if candidates is None else field.expansion,
        )


async def explanation(ready: Contest, answered: Callable[[Contest], Awaitable[SearchResult]]) -> Explanation:
    """Return how *ready* is *answered*, and how long that took."""
    began = time.perf_counter()
    result = await answered(ready)
    by_index = ready.expansion is not None
    return Explanation(
        backend="memory",
        way="index" if by_index else "scan",
        reason=ready.reason,
        exact=result.exact,
        hits=len(result.hits),
        milliseconds=(time.perf_counter() - began) * 1000,
        rows=(ready.matching, ready.matching),
        index=NAME if by_index else None,
        ef_search=ready.expansion,
        candidates=len(ready.slots) if by_index else None,
    )


class _Field:
    """The records that qualify for one request, while the lock is held."""

    def __init__(self, collection: Collection, request: SearchRequest) -> None:
        self._collection = collection
        self._request = request
        records, end = collection.records, collection.shown
        places = (records.slot_of.get(key, -1) for key in set(request.exclude))
        self._excluded = [slot for slot in places if slot >= 0]
        self._mask: Mask | None = None
        self.reason = ""
        self.expansion: int | None = None
        self.matching = len(records) - len(self._excluded)
        if request.where is not None:
            self._mask = collection.columns.mask(request.where, end) & records.alive[:end]
            self._mask[self._excluded] = False
            self.matching = int(np.count_nonzero(self._mask))

    def slots(self) -> Slots:
        """Return the slots of all that qualify, ascending."""
        if self._mask is not None:
            return np.flatnonzero(self._mask)
        return self._left(np.flatnonzero(self._collection.records.alive[: self._collection.shown]))

    def _left(self, slots: Slots) -> Slots:
        """Return those of *slots* that qualify."""
        return slots[self._passing(slots)] if len(slots) and self._is_narrowed else slots

    @property
    def _is_narrowed(self) -> bool:
        return self._mask is not None or bool(self._excluded)

    def _passing(self, slots: Slots) -> Mask:
        return ~np.isin(slots, self._excluded) if self._mask is None else self._mask[slots]

    def by_index(self, query: Query) -> Slots | None:
        """Return candidates that hold the best k with the recall promised, or None when a scan is the better way."""
        collection, request = self._collection, self._request
        index, tuning = collection.index, collection.tuning
        smallest = index.calibration.expansion
        if request.exact or not collection.wants_index() or not index.living or smallest is None:
            self.reason = _no_index(collection, request)
            return None
        waiting = self._left(index.pending(collection.records, collection.shown))
        in_graph = self.matching - len(waiting)
        wanted = min(request.k, in_graph)
        if wanted <= 0:
            self.reason = "no record that qualifies is in the index yet"
            return waiting
        fetch = request.k + len(self._excluded)
        share = in_graph / len(index.graph)
        if share < 1:
            fetch = math.ceil(fetch / share * _MARGIN)
        while fetch <= tuning.most_candidates:
            expansion = max(smallest, math.ceil(fetch * _MARGIN))
            if min(GATHERING_COST * self.matching, collection.shown) <= tuning.candidate_cost * expansion:
                self.reason = (
                    "comparing all that qualify is cheaper than searching the index as widely as it would take"
                )
                return None
            self.expansion = expansion
            found = index.graph.search(query.unit, fetch, expansion)
            if self._is_narrowed:
                found = found.where(self._passing(found.slots))
            if len(found) >= wanted:
                self.reason = "the index is cheaper than comparing all that qualify"
                best = found.best(request.k)
                # No record that waits for its node is among those found by nodes.
                return np.sort(np.concatenate([best, waiting]) if len(waiting) else best)
            if fetch >= len(index.graph):
                break
            fetch *= _GROWTH
        self.reason = "the index came to too few records that qualify"
        return None


def _no_index(collection: Collection, request: SearchRequest) -> str:
    if request.exact or collection.exact:
        return "an exact answer was asked for"
    if not collection.wants_index():
        return "the collection is so small that it has no index"
    return "the index is still being made"
