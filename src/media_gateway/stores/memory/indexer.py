"""The thread that keeps the index: gives nodes to new records, builds the graph anew, measures its recall."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from media_gateway.stores.memory.calibration import RECALL_AT, Trial, trials_of
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.index import Calibration, Graph, units_of
from media_gateway.stores.memory.records import RecordsView

_log = logging.getLogger(__name__)

_HELD_SECONDS: Final = 0.002
"""How long one step may hold the lock, and a search on the event loop wait for it."""
_PAUSE_SECONDS: Final = 0.00005
"""Between steps: a thread that waits for a lock gets it only when the holder lets go for a moment."""
_MOST_AT_ONCE: Final = 256
_REBUILD_STEP: Final = 64
_FEWEST_GONE: Final = 1_000
_SAFETY: Final = 0.01
"""How far above its target the recall is calibrated: twice the standard error of 400 queries at .95 (0.4 %), and a little
because trials are easier than queries held out where the records are short texts (0.7 % at a width of 40)."""
_PERFECT: Final = 0.9975


class Indexer:
    """Keeps the index of *collection* in a thread of its own, which starts with the first work."""

    def __init__(self, collection: Collection, recall_target: float) -> None:
        self._collection = collection
        self._goal = min(recall_target + _SAFETY, max(_PERFECT, recall_target))
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._has_work = False
        self._is_stopped = False
        self._step = 1
        self.graph_mutex = threading.Lock()
        """Held while nodes are added, and by whoever saves the graph. Taken before the collection's lock."""

    def notice(self) -> None:
        """Say that records changed."""
        if self._collection.exact:
            return
        with self._wake:
            if self._is_stopped or not self._is_due():
                return
            self._has_work = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="memory-index", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def settle(self) -> None:
        """Wait until there is nothing left to do."""
        with self._wake:
            self._wake.wait_for(lambda: self._is_stopped or not self._has_work)

    def stop(self) -> None:
        """End the thread, after its present step."""
        with self._wake:
            self._is_stopped = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _is_due(self) -> bool:
        collection = self._collection
        with collection.lock:
            return collection.wants_index() and (
                len(collection.index.next_pending(collection.records, collection.shown, 1)) > 0
                or self._is_worn()
                or self._is_uncalibrated()
            )

    def _is_worn(self) -> bool:
        index = self._collection.index
        return index.gone > max(_FEWEST_GONE, self._collection.tuning.rebuild_share * len(index.graph))

    def _is_uncalibrated(self) -> bool:
        index = self._collection.index
        return index.living >= 2 * index.calibration.count

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._has_work or self._is_stopped)
                if self._is_stopped:
                    return
            is_sound = self._worked()
            with self._wake:
                # Records may have come since; but what failed once is not tried again before the next write.
                self._has_work = is_sound and not self._is_stopped and self._is_due()
                self._wake.notify_all()

    def _worked(self) -> bool:
        try:
            self._work()
        except Exception:  # noqa: BLE001
            # Searches go on: what has no node is scanned.
            _log.exception("the index could not be kept up to date")
            return False
        return True

    def _work(self) -> None:
        while not self._is_stopped and self._is_due():
            if self._collection.index.gone and self._is_worn():
                self._rebuild()
            elif not self._add_some():
                self._calibrate()

    def _add_some(self) -> bool:
        """Give nodes to as many records as fit into one step; tell whether there were any."""
        collection = self._collection
        with self.graph_mutex, collection.lock:
            begun = time.perf_counter()
            slots = collection.index.next_pending(collection.records, collection.shown, self._step)
            if not len(slots):
                return False
            collection.index.add(slots, collection.records)
            took = time.perf_counter() - begun
        fitting = int(len(slots) * _HELD_SECONDS / max(took, 1e-6))
        self._step = min(max(fitting, 1), 2 * self._step, _MOST_AT_ONCE)
        time.sleep(_PAUSE_SECONDS)
        return True

    def _rebuild(self) -> None:
        collection = self._collection
        with collection.lock:
            slots, view, generation = collection.records.living(), collection.records.view(), collection.generation
        graph = Graph(collection.space.dimension, collection.tuning)
        for begin in range(0, len(slots), _REBUILD_STEP):
            if self._is_stopped or generation != collection.generation:
                return
            chosen = slots[begin : begin + _REBUILD_STEP]
            graph.add(chosen, units_of(view.vectors, view.inverse_norms, chosen))
        with self.graph_mutex, collection.lock:
            if generation == collection.generation:
                collection.index.adopt(graph, collection.records.alive)

    def _calibrate(self) -> None:
        """Choose the smallest efSearch that finds enough of the true neighbours."""
        collection = self._collection
        with collection.lock:
            slots, view = collection.records.living(), collection.records.view()
            living, generation = collection.index.living, collection.generation
        trials = trials_of(view, slots)
        found = 1.0
        for expansion in collection.tuning.expansions:
            if self._is_stopped or generation != collection.generation:
                return
            found = self._recall(view, trials, expansion)
            if found >= self._goal:
                self._take(Calibration(expansion=expansion, recall=found, count=living))
                return
        _log.warning("the index finds %.3f of the true neighbours at best; searches scan instead", found)
        self._take(Calibration(expansion=None, recall=found, count=living))

    def _recall(self, view: RecordsView, trials: Sequence[Trial], expansion: int) -> float:
        collection = self._collection
        found = 0
        for trial in trials:
            with collection.lock:
                index = collection.index
                count = RECALL_AT + (index.gone * RECALL_AT) // max(index.living, 1)
                nearby = index.graph.search(trial.query.unit, count, expansion)
            found += trial.hits(view, nearby.best(RECALL_AT))
            time.sleep(_PAUSE_SECONDS)
        return found / max(sum(trial.count for trial in trials), 1)

    def _take(self, calibration: Calibration) -> None:
        with self._collection.lock:
            self._collection.index.calibration = calibration
