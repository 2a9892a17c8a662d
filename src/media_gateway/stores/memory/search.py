"""How a search is answered: which records are compared, and by which way they are found."""

import math
from dataclasses import dataclass

import numpy as np

from media_gateway.json_values import parse
from media_gateway.models import Hit, SearchRequest, SearchResult
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.exact import GATHERING_COST, Query, above, nearest, rows_read
from media_gateway.stores.memory.records import Mask, RecordsView, Slots

_MARGIN = 1.2
"""Candidates fetched over the number that would be needed if the filter were spread evenly."""
_GROWTH = 4
"""By how much more candidates are fetched when the first were too few."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contest:
    """The records that are compared for a request, and *exact*: whether they are all that qualify."""

    records: RecordsView
    slots: Slots
    request: SearchRequest
    query: Query
    exact: bool

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
        return Contest(records=collection.records.view(), slots=slots, request=request, query=query, exact=exact)


class _Field:
    """The records that qualify for one request, while the lock is held."""

    def __init__(self, collection: Collection, request: SearchRequest) -> None:
        self._collection = collection
        self._request = request
        records, end = collection.records, collection.shown
        places = (records.slot_of.get(key, -1) for key in set(request.exclude))
        self._excluded = [slot for slot in places if slot >= 0]
        self._mask: Mask | None = None
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
        if self._mask is not None:
            return slots[self._mask[slots]]
        return slots[~np.isin(slots, self._excluded)] if self._excluded else slots

    def by_index(self, query: Query) -> Slots | None:
        """Return candidates that hold the best k with the recall promised, or None when a scan is the better way."""
        collection, request = self._collection, self._request
        index, tuning = collection.index, collection.tuning
        smallest = index.calibration.expansion
        if request.exact or not collection.wants_index() or not index.living or smallest is None:
            return None
        waiting = self._left(index.pending(collection.records, collection.shown))
        in_graph = self.matching - len(waiting)
        wanted = min(request.k, in_graph)
        if wanted <= 0:
            return waiting
        fetch = request.k + len(self._excluded)
        share = in_graph / len(index.graph)
        if share < 1:
            fetch = math.ceil(fetch / share * _MARGIN)
        while fetch <= tuning.most_candidates:
            expansion = max(smallest, math.ceil(fetch * _MARGIN))
            if min(GATHERING_COST * self.matching, collection.shown) <= tuning.candidate_cost * expansion:
                return None
            found = self._left(index.graph.search(query.unit, fetch, expansion))
            if len(found) >= wanted:
                return np.unique(np.concatenate([found, waiting]))
            if fetch >= len(index.graph):
                return None
            fetch *= _GROWTH
        return None
