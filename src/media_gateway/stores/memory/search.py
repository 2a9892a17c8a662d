"""How a search is answered: which records are compared, and by which way they are found."""

import math
import time
from dataclasses import dataclass

import anyio.to_thread
import numpy as np

from media_gateway.errors import StoreError
from media_gateway.models import Explanation, Hit, SearchRequest, SearchResult
from media_gateway.stores.memory.calibration import RECALL_AT
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.exact import GATHERING_COST, ONE_PASS, Query, nearest, rows_read
from media_gateway.stores.memory.index import NAME
from media_gateway.stores.memory.records import Mask, RecordsView, Slots
from media_gateway.stores.memory.signs import Sketch

_MARGIN = 1.2
"""Candidates fetched over the number that would be needed if the filter were spread evenly."""
_WIDE = 48
"""Up to here a calibrated width grows with k and with what a filter leaves out; beyond, candidates fetched decide."""
_LEAST_FILTERED = 32
"""The least width under a filter: a calibrated one may be narrower, but was measured on all records."""
_FEW = 64
"""Records that never take long to compare."""
_FEW_HITS = 500
_CHEAPER = "the index is cheaper than comparing all that qualify"
_SCAN_CHEAPER = "comparing all that qualify is cheaper than searching the index as widely as it would take"
_TOO_FEW = "the index came to too few records that qualify"
_BY_SIGNS = "so many qualify that the signs of random products tell which of them are compared"
_EXACT_WORTH = 2
"""Times as long as by signs that comparing all may take, since its answer is exact."""
_SECOND_MARGIN = 1.5
"""Candidates fetched when the first were too few, over the number that the share of those that passed promises."""


@dataclass(kw_only=True, eq=False, slots=True)  # not frozen: made for every search, in a third of the time
class Contest:
    """The records that are compared for a request, and *exact*: whether they are all that qualify.

    *matching* records qualify, *reason* says why these are compared, and *expansion* is the width of the index search
    that found them, None where it was not used. With a *sketch* only those of them are compared that it does not rule
    out. *lacks_signs* tells that one would have helped, and has to be made.
    """

    records: RecordsView
    slots: Slots
    request: SearchRequest
    query: Query
    exact: bool
    matching: int
    reason: str
    expansion: int | None
    sketch: Sketch | None = None
    lacks_signs: bool = False

    def is_quick(self, most_floats: int) -> bool:
        """Tell whether comparing them reads at most *most_floats* numbers, and makes few hits."""
        count, k = len(self.slots), self.request.k
        if count <= _FEW:
            return True
        if self.sketch is not None:
            return False
        # Those of the index, when they are few, do not ascend.
        rows = GATHERING_COST * count if count <= k + ONE_PASS else rows_read(self.slots)
        return min(k, count) <= _FEW_HITS and rows * len(self.query.wide) <= most_floats

    def result(self) -> SearchResult:
        """Compare them, which may be done in any thread."""
        request, slots = self.request, self.slots
        if self.sketch is not None:
            slots = self.sketch.near(self.records, slots, self.query, request.k)
        best = nearest(self.records, slots, self.query, request.k) if len(slots) else []
        if request.min_score is not None:
            best = [one for one in best if -one[0] > request.min_score]
        metadata = self.records.documents([slot for _, _, slot in best])
        # Not -turned, which would make -0.0 of 0.
        hits = [Hit.of(key, 0.0 - turned, entries) for (turned, key, _), entries in zip(best, metadata, strict=True)]
        return SearchResult(
            hits=hits, exact=self.exact and len(slots) == len(self.slots), exhausted=len(hits) < request.k
        )


def contest(collection: Collection, request: SearchRequest) -> Contest | None:
    """Return who competes for *request*, or None when `Collection.prepare` has to be called first."""
    if request.vector is None:
        raise ValueError("a request without a vector")
    query = Query(request.vector)
    with collection.lock:
        if request.where is not None and collection.columns.missing(request.where):
            return None
        plain = _plain(collection, request, query)
        if plain is not None:
            return plain
        field = _Field(collection, request)
        candidates = field.by_index(query)
        slots = field.slots() if candidates is None else candidates
        sketch = field.sketch(slots) if candidates is None else None
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
            sketch=sketch,
            lacks_signs=field.lacks_signs,
        )


async def prepared(collection: Collection, request: SearchRequest) -> Contest:
    """Make the columns that the filter of *request* needs, in a thread, and return who competes for it."""
    ready: Contest | None = None
    while ready is None and request.where is not None:
        await anyio.to_thread.run_sync(collection.prepare, request.where)
        ready = contest(collection, request)
    if ready is None:
        raise StoreError("the search could not be prepared")
    return ready


async def explanation(ready: Contest, loop_floats: int) -> Explanation:
    """Return how *ready* is answered, and how long that took."""
    began = time.perf_counter()
    result = ready.result() if ready.is_quick(loop_floats) else await anyio.to_thread.run_sync(ready.result)
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


def _plain(collection: Collection, request: SearchRequest, query: Query) -> Contest | None:
    """Return the contest of a search of all records by an index that has a node for each and no other.

    None where it is not so plain: most searches are, and take a third less time for being told early.
    """
    index, tuning, k, matching = collection.index, collection.tuning, request.k, len(collection.records)
    calibrated = index.calibration.expansion
    is_asked_of_all = request.where is None and not request.exclude and not request.exact
    is_whole = index.living == matching > k and not index.gone and collection.wants_index()
    if calibrated is None or not is_asked_of_all or not is_whole or k > tuning.most_candidates:
        return None
    expansion = _width(calibrated, k, 1.0, k)
    if _is_scan_cheaper(collection, matching, expansion):
        return None
    slots = index.graph.best(query.near_unit(), k, expansion)
    if len(slots) < k:
        return None
    return Contest(
        records=collection.records.view(),
        slots=np.sort(slots) if len(slots) > k + ONE_PASS else slots,
        request=request,
        query=query,
        exact=False,
        matching=matching,
        reason=_CHEAPER,
        expansion=expansion,
    )


class _Field:
    """The records that qualify for one request, while the lock is held."""

    def __init__(self, collection: Collection, request: SearchRequest) -> None:
        self._collection = collection
        self._request = request
        records, end = collection.records, collection.shown
        self._excluded = records.slots_of(request.exclude) if request.exclude else []
        self._mask: Mask | None = None
        self.reason = ""
        self.expansion: int | None = None
        self.lacks_signs = False
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
        is_first = True
        while fetch <= tuning.most_candidates:
            expansion = _width(smallest, request.k, share, fetch)
            if self._is_scan_better(expansion, is_first=is_first):
                self.reason = _SCAN_CHEAPER if is_first else _TOO_FEW
                return None
            is_first = False
            self.expansion = expansion
            found = index.search(query.near_unit(), fetch, expansion)
            seen = max(len(found), fetch)
            if self._is_narrowed:
                found = found.where(self._passing(found.slots))
            if len(found) >= wanted:
                self.reason = _CHEAPER
                best = found.best(request.k)
                # No record that waits for its node is among those found by nodes.
                if len(waiting):
                    best = np.concatenate([best, waiting])
                # Their order counts only where rows are read where they lie.
                return np.sort(best) if len(best) > request.k + ONE_PASS else best
            if fetch >= len(index.graph):
                break
            # What was seen counts, not the share of all.
            fetch = math.ceil(_SECOND_MARGIN * seen * wanted / max(len(found), 0.5))
        self.reason = _TOO_FEW
        return None

    def _is_scan_better(self, expansion: int, *, is_first: bool) -> bool:
        collection = self._collection
        if _is_scan_cheaper(collection, self.matching, expansion):
            return True
        if is_first:
            return self._is_quicker_by_signs(collection.tuning.candidate_cost * expansion)
        # A wider search is likely to fail too: what is near the query passes more seldom than the others.
        return self._is_quicker_by_signs(min(GATHERING_COST * self.matching, collection.shown) / _EXACT_WORTH)

    def sketch(self, slots: Slots) -> Sketch | None:
        """Return what rules out most of *slots*, all that qualify, for less than comparing them; None where nothing does."""
        may_approximate = not self._request.exact and self._collection.wants_index()
        if not may_approximate or not self._is_quicker_by_signs(rows_read(slots) / _EXACT_WORTH):
            return None
        self.reason = f"{self.reason}; {_BY_SIGNS}" if self.reason else _BY_SIGNS
        return self._collection.signs.sketch

    def _is_quicker_by_signs(self, rows: float) -> bool:
        """Tell whether signs find the best for less than *rows* scored where they lie; note it when they have to be made."""
        signs, end = self._collection.signs, self._collection.shown
        if signs.cost(self.matching, end) > rows:
            return False
        signs.is_wanted = True
        self.lacks_signs = signs.filled < end
        waiting = min(self.matching, max(end - signs.filled, 0))
        return signs.cost(self.matching, end, waiting) <= rows


def _width(calibrated: int, k: int, share: float, fetch: int) -> int:
    """Return how widely to search for *fetch* nodes, to find *k* records where a *share* of the nodes qualifies.

    What was *calibrated* is the width for ten of all, and holds in proportion.
    """
    least = _LEAST_FILTERED if share < 1 else 0
    in_proportion = max(math.ceil(calibrated * max(k / RECALL_AT, 1.0) / share), least)
    return max(min(in_proportion, max(calibrated, _WIDE)), math.ceil(fetch * _MARGIN))


def _is_scan_cheaper(collection: Collection, matching: int, expansion: int) -> bool:
    rows = min(GATHERING_COST * matching, collection.shown)
    return rows <= collection.tuning.candidate_cost * expansion


def _no_index(collection: Collection, request: SearchRequest) -> str:
    if request.exact or collection.exact:
        return "an exact answer was asked for"
    if not collection.wants_index():
        return "the collection is so small that it has no index"
    return "the index is still being made"
