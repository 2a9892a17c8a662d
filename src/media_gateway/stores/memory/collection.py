"""The records of one memory store with everything derived from them, under one lock.

One thread writes (`stage`, `commit`, `compact`), one keeps the index (`indexer.py`), any may search. The lock is held for
moments only, so that a search on the event loop may wait for it.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from media_gateway.filters import Condition
from media_gateway.json_values import parse
from media_gateway.models import VectorSpace
from media_gateway.stores.memory.changes import Change, Put, Remove
from media_gateway.stores.memory.columns import Column
from media_gateway.stores.memory.index import VectorIndex
from media_gateway.stores.memory.match import ColumnName, Columns, columns_of, made
from media_gateway.stores.memory.records import Mask, Records, Slots
from media_gateway.stores.memory.signs import Signs
from media_gateway.stores.memory.tuning import IndexTuning

_log = logging.getLogger(__name__)

_COLUMN_CHUNK: Final = 512
"""Records put into columns while the lock is held: about a millisecond a column."""
_FEWEST_DEAD: Final = 4096
"""Dead slots below this are not worth copying the others."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Staged:
    """A change whose records are in place and not visible yet."""

    change: Change
    slots: range


class Collection:
    """Records, columns and index of one store."""

    def __init__(self, space: VectorSpace, records: Records, tuning: IndexTuning, *, exact: bool) -> None:
        self.space = space
        self.records = records
        self.tuning = tuning
        self.exact = exact
        self.lock = threading.Lock()
        self.columns = Columns(records.used)
        self.index = VectorIndex(space.dimension, tuning)
        self.index.grow(records.vectors.shape[0])
        self.signs = Signs(space.dimension, tuning.most_signs)
        self.shown = records.used
        self.sequence = 0
        self.generation = 0
        """Rises whenever slots are renumbered."""

    def wants_index(self) -> bool:
        """Tell whether there are so many records that an index is worth having."""
        return not self.exact and len(self.records) * self.space.dimension > self.tuning.exact_floats

    def news(self, change: Put) -> Put:
        """Return the part of *change* that differs from what is there."""
        records = self.records
        former = [records.slot_of.get(key, -1) for key in change.keys]
        changed = [
            row
            for row, slot in enumerate(former)
            if slot < 0
            or records.metadata[slot] != change.metadata[row]
            # By their bits, since -0.0 equals 0.0 and is another vector in a digest.
            or not np.array_equal(records.vectors[slot].view(np.uint32), change.vectors[row].view(np.uint32))
        ]
        if len(changed) == len(former):
            return change
        return Put(
            keys=[change.keys[row] for row in changed],
            metadata=[change.metadata[row] for row in changed],
            vectors=change.vectors[changed],
        )

    def stage(self, change: Change) -> Staged:
        """Put the records of *change* in place without showing them; undone by `unstage`."""
        records = self.records
        if isinstance(change, Remove):
            return Staged(change=change, slots=range(records.used, records.used))
        room = records.room(len(change.keys))
        if room is not None:
            with self.lock:
                records.move_in(room)
                self.index.grow(room.vectors.shape[0])
        return Staged(change=change, slots=records.stage(change.keys, change.metadata, change.vectors))

    def unstage(self, staged: Staged) -> None:
        """Take *staged* back, and whatever was staged after it."""
        self.records.unstage(staged.slots.start)

    def commit(self, staged: Staged) -> int:
        """Show *staged*, all of it in one step, and return how many records it wrote or removed."""
        self.sequence += 1
        if isinstance(staged.change, Remove):
            return self._hide(staged.change.keys)
        self._fill_columns(staged.slots.stop)
        self._show(staged.slots)
        return len(staged.slots)

    def _show(self, slots: range) -> None:
        records = self.records
        own = np.arange(slots.start, slots.stop)
        former = np.array(
            [records.slot_of.get(key, -1) for key in records.keys[slots.start : slots.stop]], dtype=np.intp
        )
        replacing = former >= 0
        former, successors = former[replacing], own[replacing]
        is_same = self._same_vectors(former, successors)
        with self.lock:
            records.show(slots, former)
            self.index.replaced(former, successors, is_same)
            self.shown = slots.stop

    def _same_vectors(self, former: Slots, successors: Slots) -> Mask:
        vectors = self.records.vectors
        pairs = zip(former.tolist(), successors.tolist(), strict=True)
        return np.array([np.array_equal(vectors[old], vectors[new]) for old, new in pairs], dtype=np.bool_)

    def _hide(self, keys: Sequence[str]) -> int:
        with self.lock:
            removed = self.records.hide(keys)
            self.index.removed(np.array(removed, dtype=np.intp))
        return len(removed)

    def _fill_columns(self, end: int) -> None:
        with self.lock:
            if not self.columns.nbytes:
                self.columns.restart(end)
        try:
            for begin in range(self.columns.filled, end, _COLUMN_CHUNK):
                documents = [parse(text) for text in self.records.metadata[begin : min(begin + _COLUMN_CHUNK, end)]]
                with self.lock:
                    self.columns.extend(documents)
        except Exception:  # noqa: BLE001
            # The change stands in the journal already, so it must go through; columns are derived and made again.
            _log.exception("the columns for filters could not be kept up to date and were dropped")
            with self.lock:
                self.columns.restart(end)

    def prepare(self, condition: Condition) -> None:
        """Make the columns that *condition* needs and that are not there. Takes seconds a million records."""
        while True:
            with self.lock:
                names = self.columns.missing(condition)
                metadata, filled, generation = self.records.metadata, self.columns.filled, self.generation
            if not names:
                return
            columns = _columns_over(metadata[:filled], names)
            with self.lock:
                if generation == self.generation:
                    late = [parse(text) for text in self.records.metadata[filled : self.columns.filled]]
                    for column in columns.values():
                        column.extend(late)
                    self.columns.install(columns, needed=set(columns_of(condition)))

    def compact(self) -> None:
        """Drop dead slots when most slots are dead."""
        dead = self.records.used - len(self.records)
        if dead <= max(_FEWEST_DEAD, len(self.records)):
            return
        records, moved = self.records.compacted()
        with self.lock:
            self.records = records
            self.columns.restart(records.used)
            self.index.compact(moved)
            self.signs = self.signs.anew()
            self.index.grow(records.vectors.shape[0])
            self.shown = records.used
            self.generation += 1


def _columns_over(metadata: Sequence[bytes], names: set[ColumnName]) -> Mapping[ColumnName, Column]:
    columns = {name: made(name) for name in names}
    for begin in range(0, len(metadata), _COLUMN_CHUNK):
        documents = [parse(text) for text in metadata[begin : begin + _COLUMN_CHUNK]]
        for column in columns.values():
            column.extend(documents)
    return columns
