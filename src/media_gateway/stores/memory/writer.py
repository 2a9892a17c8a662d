"""The thread that writes: one after the other, and all that is waiting with one sync."""

import logging
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from media_gateway.errors import DuplicateKeyError, OutcomeUnknownError, shown
from media_gateway.stores.memory.changes import Change, Remove, without
from media_gateway.stores.memory.collection import Collection, Staged
from media_gateway.stores.memory.indexer import Indexer
from media_gateway.stores.memory.storage import Storage

_log = logging.getLogger(__name__)

_MOST_TOGETHER = 1_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Write:
    """A change on its way; *future* gives how many records it wrote or removed.

    *is_new*: no key may exist yet. *keeps_known*: keys that exist are left out.
    """

    change: Change
    is_new: bool = False
    keeps_known: bool = False
    future: "Future[int]" = field(default_factory=Future[int])

    @property
    def minds_others(self) -> bool:
        """Whether what it does depends on which keys are there, and all before it must be done first."""
        return self.is_new or self.keeps_known


class Writer:
    """Applies changes to *collection* in the order of their submission.

    A change is in the journal, synced, before it becomes visible and before its future is done; a change whose future
    was cancelled in time never happens. *storage* is None for a store that keeps nothing on disk.
    """

    def __init__(self, collection: Collection, storage: Storage | None, indexer: Indexer) -> None:
        self._collection = collection
        self._storage = storage
        self._indexer = indexer
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed: Future[None] = Future()
        self._failure: BaseException | None = None

    def submit(self, write: Write) -> "Future[int]":
        """Queue *write* and return its future."""
        self._start()
        self._queue.put(write)
        return write.future

    def close(self) -> "Future[None]":
        """Close the files when all that was submitted is written; to be called once."""
        self._start()
        self._queue.put(None)
        return self._closed

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="memory-writer", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        is_open = True
        while is_open:
            group: list[Write] = []
            write = self._queue.get()
            while write is not None:
                if write.minds_others and group:
                    # Whether a key is new shows only then.
                    self._write(group)
                    group = []
                group.append(write)
                if write.minds_others or len(group) >= _MOST_TOGETHER or self._queue.empty():
                    break
                write = self._queue.get()
            is_open = write is not None
            self._write(group)
        self._close()

    def _write(self, group: Sequence[Write]) -> None:
        if self._failure is not None:
            for write in group:
                if write.future.set_running_or_notify_cancel():
                    write.future.set_exception(_inconsistent(self._failure))
            return
        staged = self._staged([write for write in group if write.future.set_running_or_notify_cancel()])
        if not staged:
            return
        try:
            if self._storage is not None:
                changes = [one.change for _, one in staged]
                self._storage.journal.append(self._collection.sequence + 1, changes)
        except BaseException as error:  # noqa: BLE001
            self._collection.unstage(staged[0][1])
            for write, _ in staged:
                write.future.set_exception(error)
            return
        self._commit(staged)
        self._after()

    def _commit(self, staged: Sequence[tuple[Write, Staged]]) -> None:
        for write, one in staged:
            try:
                write.future.set_result(self._collection.commit(one))
            except BaseException as error:  # noqa: BLE001
                # The journal has it and the memory does not: only reading the journal again can mend that.
                self._failure = error
                write.future.set_exception(_inconsistent(error))

    def _staged(self, group: Sequence[Write]) -> list[tuple[Write, Staged]]:
        """Stage what *group* changes, and finish the writes that change nothing or cannot be done."""
        staged: list[tuple[Write, Staged]] = []
        touched: set[str] = set()
        for write in group:
            try:
                change = self._needed(write, touched)
                if change.keys:
                    staged.append((write, self._collection.stage(change)))
                    touched.update(change.keys)
                else:
                    write.future.set_result(0)
            except BaseException as error:  # noqa: BLE001
                write.future.set_exception(error)
        return staged

    def _needed(self, write: Write, touched: set[str]) -> Change:
        """Return the part of *write* that changes something; *touched* are keys that the group has changed already."""
        change, there = write.change, self._collection.records.slot_of
        if isinstance(change, Remove):
            return Remove(keys=[key for key in dict.fromkeys(change.keys) if key in there or key in touched])
        if write.is_new:
            present = next((key for key in change.keys if key in there), None)
            if present is not None:
                raise existing(present)
            return change
        if write.keeps_known:
            return without(change, there)
        return change if touched.intersection(change.keys) else self._collection.news(change)

    def _after(self) -> None:
        if self._failure is not None:
            return
        try:
            self._collection.compact()
            self._indexer.notice()
            if self._storage is not None:
                with self._indexer.graph_mutex:
                    self._storage.compact_if_due(self._collection)
        except Exception:  # noqa: BLE001
            # The writes stand; what failed is housekeeping, which comes round again.
            _log.exception("housekeeping after a write failed")

    def _close(self) -> None:
        try:
            self._indexer.stop()
            if self._storage is not None:
                self._storage.close(self._collection, rewrite=self._failure is None)
        except BaseException as error:  # noqa: BLE001
            self._closed.set_exception(error)
        else:
            self._closed.set_result(None)


def _inconsistent(error: BaseException) -> OutcomeUnknownError:
    failure = OutcomeUnknownError(
        f"a write is in the journal but could not be shown ({error!r}); close this store and open it again"
    )
    failure.__cause__ = error
    return failure


def existing(key: str) -> DuplicateKeyError:
    """Return the error for a *key* that a bulk load brings and that is there already."""
    return DuplicateKeyError(
        f"the key {shown(key)} is there already; a bulk load takes new records only: upsert it instead",
        field="key",
        given=key,
        expected="a key that does not exist yet",
    )
