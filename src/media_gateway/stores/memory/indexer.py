"""The thread that keeps the index: gives nodes to new records, builds the graph anew, has its recall measured."""

import logging
import threading
import time
from typing import Final

import numpy as np

from media_gateway.stores.memory.calibrator import PAUSE_SECONDS, Calibrator
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.index import Graph, units_of

_log = logging.getLogger(__name__)

_HELD_SECONDS: Final = 0.002
"""How long one step may hold the lock, and a search on the event loop wait for it."""
_MOST_AT_ONCE: Final = 256
_REBUILD_STEP: Final = 64
_FEWEST_GONE: Final = 1_000


class Indexer:
    """Keeps the index of *collection* in a thread of its own, which starts with the first work."""

    def __init__(self, collection: Collection, recall_target: float) -> None:
        self._collection = collection
        self._calibrator = Calibrator(collection, recall_target, lambda: self._is_stopped)
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
                or self._calibrator.is_due()
                or collection.signs.is_due(collection.shown)
            )

    def _is_worn(self) -> bool:
        index = self._collection.index
        return index.gone > max(_FEWEST_GONE, self._collection.tuning.rebuild_share * len(index.graph))

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
        self._calibrator.hold_back()
        while not self._is_stopped and self._is_due():
            if self._sign_some():
                continue
            if self._collection.index.gone and self._is_worn():
                self._rebuild()
            elif not self._add_some():
                self._calibrator.go_on()

    def _sign_some(self) -> bool:
        """Make the signs of some records, when they are wanted; tell whether there were any."""
        collection = self._collection
        with collection.lock:
            signs, vectors, end = collection.signs, collection.records.vectors, collection.shown
        if not signs.is_due(end):
            return False
        signs.extend(vectors, end)
        time.sleep(PAUSE_SECONDS)
        return True

    def _add_some(self) -> bool:
        """Give nodes to as many records as fit into one step; tell whether there were any."""
        collection = self._collection
        with collection.lock:
            slots = collection.index.next_pending(collection.records, collection.shown, self._step)
        self._calibrator.meet(slots)
        with self.graph_mutex, collection.lock:
            begun = time.perf_counter()
            slots = collection.index.next_pending(collection.records, collection.shown, self._step)
            if not len(slots):
                return False
            collection.index.add(slots, collection.records)
            took = time.perf_counter() - begun
        fitting = int(len(slots) * _HELD_SECONDS / max(took, 1e-6))
        self._step = min(max(fitting, 1), 2 * self._step, _MOST_AT_ONCE)
        time.sleep(PAUSE_SECONDS)
        return True

    def _rebuild(self) -> None:
        collection = self._collection
        with collection.lock:
            slots, view, generation = collection.records.living(), collection.records.view(), collection.generation
        graph = Graph(collection.space.dimension, collection.tuning)
        left_out = self._calibrator.sample(slots)
        slots = np.setdiff1d(slots, left_out, assume_unique=True)
        for begin in range(0, len(slots), _REBUILD_STEP):
            if self._is_stopped or generation != collection.generation:
                return
            chosen = slots[begin : begin + _REBUILD_STEP]
            graph.add(chosen, units_of(view.vectors, view.inverse_norms, chosen))
        with self.graph_mutex, collection.lock:
            if generation == collection.generation:
                collection.index.adopt(graph, collection.records.alive)
                self._calibrator.begin_anew(left_out)
