"""The records in memory: vectors, keys and metadata by *slot*.

A slot is written once and never changed: a record that is written again takes a new slot, and its old one goes dead. So
a search that runs in another thread may go on reading what it began with. Dead slots are dropped by `compacted`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from media_gateway.json_values import hold_long_numbers, parse, parse_all
from media_gateway.models import Matrix, Vector

Slots: TypeAlias = npt.NDArray[np.intp]
Mask: TypeAlias = npt.NDArray[np.bool_]
Lengths: TypeAlias = npt.NDArray[np.float64]

_FIRST_CAPACITY: Final = 64
_NORM_ROWS: Final = 512
_OBJECT_BYTES: Final = 220
"""What one record takes beside its vector and text: a str and a bytes object, two list entries, one dict entry."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordsView:
    """Records as they were at one moment, for a thread that goes on without the lock."""

    vectors: Matrix
    lengths: Lengths
    inverse_norms: Vector
    keys: list[str]
    metadata: list[bytes]
    has_long_numbers: bool

    def documents(self, slots: Sequence[int]) -> list[dict[str, Any]]:
        """Return the metadata in *slots*."""
        texts = [self.metadata[slot] for slot in slots]
        return [parse(text) for text in texts] if self.has_long_numbers else parse_all(texts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Room:
    """Arrays that hold what the present ones hold, and have room at the end."""

    vectors: Matrix
    lengths: Lengths
    inverse_norms: Vector
    alive: Mask


class Records:
    """Slots and what is in them. Not locked: the collection does that."""

    def __init__(self, dimension: int) -> None:
        self.vectors: Matrix = np.empty((0, dimension), dtype=np.float32)
        self.lengths: Lengths = np.empty(0, dtype=np.float64)
        self.inverse_norms: Vector = np.empty(0, dtype=np.float32)
        self.alive: Mask = np.zeros(0, dtype=np.bool_)
        self.keys: list[str] = []
        self.metadata: list[bytes] = []
        self.slot_of: dict[str, int] = {}
        self.text_bytes = 0
        self.has_long_numbers = False
        """Whether metadata may hold whole numbers that take long to parse rightly."""
        self._view: RecordsView | None = None

    def __len__(self) -> int:
        return len(self.slot_of)

    @property
    def used(self) -> int:
        """The number of slots in use, dead ones among them."""
        return len(self.keys)

    @property
    def bytes_held(self) -> int:
        """The bytes of memory that the records take: arrays, texts, and an estimate for Python's objects."""
        arrays = self.vectors.nbytes + self.lengths.nbytes + self.inverse_norms.nbytes + self.alive.nbytes
        return arrays + self.text_bytes + _OBJECT_BYTES * self.used

    @classmethod
    def loaded(cls, keys: list[str], metadata: list[bytes], vectors: Matrix) -> "Records":
        """Return records that hold what a snapshot held, without copying *vectors*."""
        records = cls(vectors.shape[1])
        records.vectors = vectors
        records.lengths = _lengths(vectors)
        records.inverse_norms = _inverse(records.lengths)
        records.alive = np.ones(len(keys), dtype=np.bool_)
        records.keys = keys
        records.metadata = metadata
        records.slot_of = {key: slot for slot, key in enumerate(keys)}
        records.text_bytes = _bytes_of(keys, metadata)
        records.has_long_numbers = hold_long_numbers(metadata)
        return records

    def view(self) -> RecordsView:
        """Return the records as they are now. The lists may grow behind it; what it covers does not change."""
        view = self._view
        if view is None or view.vectors is not self.vectors or view.has_long_numbers != self.has_long_numbers:
            view = self._view = RecordsView(
                vectors=self.vectors,
                lengths=self.lengths,
                inverse_norms=self.inverse_norms,
                keys=self.keys,
                metadata=self.metadata,
                has_long_numbers=self.has_long_numbers,
            )
        return view

    def room(self, count: int) -> Room | None:
        """Return larger arrays when *count* slots more do not fit, to be given to `move_in`."""
        needed = self.used + count
        capacity = self.vectors.shape[0]
        if needed <= capacity:
            return None
        # By half rather than double: at a million vectors of 768 numbers every spare slot costs 3 KB.
        capacity = max(needed, capacity + capacity // 2, _FIRST_CAPACITY)
        return Room(
            vectors=_grown(self.vectors, capacity),
            lengths=_grown(self.lengths, capacity),
            inverse_norms=_grown(self.inverse_norms, capacity),
            alive=_grown(self.alive, capacity),
        )

    def move_in(self, room: Room) -> None:
        """Use the arrays of *room* from now on; whoever holds the former ones keeps them."""
        self.vectors, self.lengths = room.vectors, room.lengths
        self.inverse_norms, self.alive = room.inverse_norms, room.alive

    def stage(self, keys: Sequence[str], metadata: Sequence[bytes], vectors: Matrix) -> range:
        """Write records into new slots, for which there is room; they stay invisible until `show`."""
        begin, end = self.used, self.used + len(keys)
        self.vectors[begin:end] = vectors
        self.lengths[begin:end] = _lengths(vectors)
        self.inverse_norms[begin:end] = _inverse(self.lengths[begin:end])
        self.alive[begin:end] = False
        self.has_long_numbers = self.has_long_numbers or hold_long_numbers(metadata)
        self.metadata.extend(metadata)
        self.keys.extend(keys)
        self.text_bytes += _bytes_of(keys, metadata)
        return range(begin, end)

    def unstage(self, begin: int) -> None:
        """Take back every slot from *begin* on, all of them still invisible."""
        self.text_bytes -= _bytes_of(self.keys[begin:], self.metadata[begin:])
        del self.keys[begin:], self.metadata[begin:]

    def show(self, slots: range, former: Slots) -> None:
        """Make staged *slots* visible in place of the *former* ones, which hold records of the same keys."""
        self.slot_of.update(zip(self.keys[slots.start : slots.stop], slots, strict=True))
        self.alive[former] = False
        self.alive[slots.start : slots.stop] = True

    def hide(self, keys: Sequence[str]) -> list[int]:
        """Drop the records of *keys*, and return the slots of those that existed."""
        removed = [slot for slot in (self.slot_of.pop(key, -1) for key in keys) if slot >= 0]
        self.alive[removed] = False
        return removed

    def slots_of(self, keys: Sequence[str]) -> list[int]:
        """Return the slots of those of *keys* whose records exist, each once."""
        slots = (self.slot_of.get(key, -1) for key in dict.fromkeys(keys))
        return [slot for slot in slots if slot >= 0]

    def living(self) -> Slots:
        """Return the slots of all records, ascending."""
        return np.flatnonzero(self.alive[: self.used])

    def compacted(self) -> "tuple[Records, Slots]":
        """Return the same records without dead slots, and for each old slot its new one, -1 for dead ones."""
        living = self.living()
        chosen = living.tolist()
        records = Records.loaded(
            [self.keys[slot] for slot in chosen], [self.metadata[slot] for slot in chosen], self.vectors[living]
        )
        moved = np.full(self.used, -1, dtype=np.intp)
        moved[living] = np.arange(len(living))
        return records, moved


def _bytes_of(keys: Sequence[str], metadata: Sequence[bytes]) -> int:
    return sum(map(len, keys)) + sum(map(len, metadata))


def _grown(array: npt.NDArray[Any], capacity: int) -> npt.NDArray[Any]:
    larger = np.empty((capacity, *array.shape[1:]), dtype=array.dtype)
    larger[: array.shape[0]] = array
    return larger


def _lengths(vectors: Matrix) -> Lengths:
    lengths = np.empty(vectors.shape[0], dtype=np.float64)
    for begin in range(0, vectors.shape[0], _NORM_ROWS):
        rows = vectors[begin : begin + _NORM_ROWS].astype(np.float64)
        # One after the other, each added up in the same order, so that equal vectors have equal lengths to the last bit.
        lengths[begin : begin + _NORM_ROWS] = np.sqrt(np.vecdot(rows, rows))
    return lengths


def _inverse(lengths: Lengths) -> Vector:
    return (1.0 / lengths).astype(np.float32)
