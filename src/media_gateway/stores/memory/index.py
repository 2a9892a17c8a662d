"""The approximate index: an HNSW graph of usearch over unit vectors in float16.

Nodes are only ever added. usearch would reuse the place of a removed node, but then nodes of its old neighbourhood
lose their links and can no longer be found (measured: 0.8 % of 12,000 records after half of them were replaced three
times), and adding with several threads at once strands nodes too (unum-cloud/USearch issue 735; measured: 8 of 12,000
with two threads, none with one). So a node whose record is gone stays as a waypoint and is left out of the answers,
and the graph is built anew when there are too many of them.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from usearch.index import Index

from media_gateway.models import Matrix, Vector
from media_gateway.stores.memory.columns import GrowingArray
from media_gateway.stores.memory.records import Mask, Records, Slots
from media_gateway.stores.memory.tuning import IndexTuning

NAME: Final = "usearch hnsw f16"
_WINDOW: Final = 8192
_NONE: Final[Slots] = np.empty(0, dtype=np.intp)
_NO_NODE: Final = -1
_HELD: Final = -2
"""No node yet, and none until it is released."""
_SPARE: Final = 16
"""Candidates beyond twice the number wanted, as far as the width finds them anyway, which costs next to nothing."""
_BLUR: Final = 0.005
"""What two scores of the graph may be off together: float16 rounds both vectors, by 2^-11 a number each, so that each
score is off by 2^-10 at most. Twice as much again is for processors that sum in float16."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Nearby:
    """Slots that a graph found, the nearest first, and their *distances*: 1 - cosine similarity, blurred by float16."""

    slots: Slots
    distances: Vector

    def __len__(self) -> int:
        return len(self.slots)

    def where(self, passes: Mask) -> "Nearby":
        """Return those that pass."""
        return Nearby(slots=self.slots[passes], distances=self.distances[passes])

    def best(self, k: int) -> Slots:
        """Return the slots of all that may be among the best *k*, which stored vectors have to tell."""
        if len(self.slots) <= k:
            return self.slots
        distances: list[float] = self.distances.tolist()
        return self.slots[: bisect_right(distances, distances[k - 1] + _BLUR)]


class Graph:
    """A graph, and for each of its nodes the slot of its record, -1 where the record is gone."""

    def __init__(self, dimension: int, tuning: IndexTuning) -> None:
        self._index = Index(
            ndim=dimension,
            metric="ip",
            dtype="f16",
            connectivity=tuning.connectivity,
            expansion_add=tuning.expansion_add,
            expansion_search=tuning.first_expansion,
        )
        # What `Index.search` wraps in four calls, which cost a search 25 µs: a tenth of it.
        self._search: Any = self._index._compiled.search_many  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._expansion = tuning.first_expansion
        self._slots = GrowingArray(np.int64)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def slots(self) -> npt.NDArray[np.int64]:
        """The slot of each node, to be read and changed."""
        return self._slots.items

    @property
    def nbytes(self) -> int:
        """The bytes of memory that nodes and vectors take."""
        return int(self._index.memory_usage) + self._slots.nbytes

    def add(self, slots: Slots, units: Matrix) -> None:
        """Add a node for each of *slots*, whose vectors, of length 1, are *units*."""
        begin = len(self)
        # Known before they are there: should adding fail half-way, no number is given out twice.
        self._slots.extend([-1] * len(slots))
        self._index.add(np.arange(begin, begin + len(slots), dtype=np.uint64), units, threads=1)
        self.slots[begin:] = slots

    def search(self, unit: Vector, count: int, expansion: int) -> Nearby:
        """Return the slots of the *count* nodes nearest to *unit* and some more, as far as found."""
        keys, distances, found = self._found(unit, count, expansion)
        return Nearby(slots=self._slots.take(keys[0, :found].view(np.int64)), distances=distances[0, :found])

    def best(self, unit: Vector, k: int, expansion: int) -> Slots:
        """Return what `Nearby.best` does of what `search` returns, in half the time."""
        keys, distances, found = self._found(unit, k, expansion)
        near: list[float] = distances.tolist()[0]
        if found > k:
            found = bisect_right(near, near[k - 1] + _BLUR, k, found)
        return self._slots.take(keys[0, :found].view(np.int64))

    def _found(self, unit: Vector, count: int, expansion: int) -> tuple[Any, Any, int]:
        """Return the numbers of nodes and their distances, each (1, n), and how many of them count."""
        if expansion != self._expansion:
            self._index.expansion_search = self._expansion = expansion
        wanted = min(max(count, min(expansion, 2 * count + _SPARE)), len(self._slots))
        keys, distances, counts, *_ = self._search(unit.reshape(1, -1), wanted, False, 1)
        return keys, distances, counts.item()

    def saved(self) -> bytearray:
        """Return the graph, without the slots, as bytes."""
        return self._index.save()  # pyright: ignore[reportReturnType]

    def load(self, saved: memoryview, slots: npt.NDArray[Any]) -> None:
        """Take over a graph that `saved` wrote, whose nodes now belong to *slots*."""
        self._index.load(saved)
        self._expansion = 0
        if len(self._index) != len(slots):
            raise ValueError(f"a graph of {len(self._index)} nodes for {len(slots)} slots")
        self._slots.extend(slots.tolist())


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The efSearch value that reached the recall target: *expansion*, measured when there were *count* records.

    *expansion* is None when none of the values did: then the store scans. *recall* is None before it was measured.
    *is_witnessed* tells that it was measured by records that had no nodes.
    """

    expansion: int | None
    recall: float | None
    count: int
    is_witnessed: bool = False


class VectorIndex:
    """The graph that answers now, the records that are not in it yet, and what searching it takes.

    Not locked: the collection does that.
    """

    def __init__(self, dimension: int, tuning: IndexTuning) -> None:
        self._dimension = dimension
        self._tuning = tuning
        self.graph = Graph(dimension, tuning)
        self.gone = 0
        self.calibration = Calibration(expansion=tuning.first_expansion, recall=None, count=0)
        self._node_of: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._settled = self._given = 0
        self.held: Slots = _NONE

    @property
    def living(self) -> int:
        """The number of nodes whose records are there."""
        return len(self.graph) - self.gone

    @property
    def nbytes(self) -> int:
        """The bytes of memory that the index takes."""
        return self.graph.nbytes + self._node_of.nbytes

    def grow(self, capacity: int) -> None:
        """Make room for the slots below *capacity*."""
        if capacity > len(self._node_of):
            larger = np.full(capacity, -1, dtype=np.int64)
            larger[: len(self._node_of)] = self._node_of
            self._node_of = larger

    def replaced(self, former: Slots, slots: Slots, is_same: Mask) -> None:
        """Note that *slots* replace *former* ones; where the vector *is_same*, the node goes over to its new slot."""
        nodes = self._node_of[former]
        kept = (nodes >= 0) & is_same
        self.graph.slots[nodes[kept]] = slots[kept]
        self._node_of[slots[kept]] = nodes[kept]
        self._node_of[former[kept]] = -1
        self.removed(former[~kept])

    def removed(self, slots: Slots) -> None:
        """Note that the records in *slots* are gone."""
        nodes = self._node_of[slots]
        nodes = nodes[nodes >= 0]
        self.graph.slots[nodes] = -1
        self.gone += len(nodes)
        self._node_of[slots] = -1

    def search(self, unit: Vector, count: int, expansion: int) -> Nearby:
        """Return what `Graph.search` does, without records that are gone."""
        nearby = self.graph.search(unit, count, expansion)
        return nearby.where(nearby.slots >= 0) if self.gone else nearby

    def pending(self, records: Records, end: int) -> Slots:
        """Return the slots below *end* of the records that have no node yet, ascending."""
        begin = min(self._settled, end)
        if begin == end:
            return _NONE
        waiting = np.flatnonzero(records.alive[begin:end] & (self._node_of[begin:end] < 0)) + begin
        self._settled = int(waiting[0]) if len(waiting) else end
        return waiting

    def next_pending(self, records: Records, end: int, limit: int) -> Slots:
        """Return up to *limit* of what `pending` returns, but for those held, without looking at the rest."""
        begin = min(self._given, end)
        while begin < end:
            upto = min(begin + _WINDOW, end)
            waiting = np.flatnonzero(records.alive[begin:upto] & (self._node_of[begin:upto] == _NO_NODE)) + begin
            self._given = int(waiting[0]) if len(waiting) else upto
            if len(waiting):
                return waiting[:limit]
            begin = upto
        return _NONE

    def hold(self, slots: Slots) -> None:
        """Give *slots*, which have no nodes, none before they are released."""
        self._node_of[slots] = _HELD
        self.held = slots

    def release(self) -> None:
        """Let those that are held have their turn."""
        self._node_of[self.held[self._node_of[self.held] == _HELD]] = _NO_NODE
        self._forget()

    def _forget(self) -> None:
        self.held = _NONE
        self._settled = self._given = 0

    def nodes_of(self, slots: Slots) -> npt.NDArray[np.int64]:
        """Return the nodes of *slots*, below 0 where there is none."""
        return self._node_of[slots]

    def add(self, slots: Slots, records: Records) -> None:
        """Give each of *slots* a node."""
        begin = len(self.graph)
        self.gone += len(slots)
        self.graph.add(slots, units_of(records.vectors, records.inverse_norms, slots))
        self.gone -= len(slots)
        self._node_of[slots] = np.arange(begin, begin + len(slots))

    def adopt(self, graph: Graph, alive: Mask) -> None:
        """Answer from *graph* from now on; its nodes may belong to records that went since they were added."""
        slots = graph.slots
        nodes = np.flatnonzero(slots >= 0)
        slots[nodes[~alive[slots[nodes]]]] = -1
        nodes = np.flatnonzero(slots >= 0)
        self._node_of[:] = -1
        self._node_of[slots[nodes]] = nodes
        self.graph = graph
        self.gone = len(slots) - len(nodes)
        self._forget()

    def compact(self, moved: Slots) -> None:
        """Renumber slots: *moved* gives for each old slot its new one, -1 for those that go."""
        slots = self.graph.slots
        there = slots >= 0
        slots[there] = moved[slots[there]]
        nodes = np.flatnonzero(slots >= 0)
        self._node_of = np.full(int(np.count_nonzero(moved >= 0)), -1, dtype=np.int64)
        self._node_of[slots[nodes]] = nodes
        self._forget()

    def facts(self) -> Mapping[str, Any]:
        """Return what a file says about the index beside the graph."""
        found = self.calibration
        return {
            "connectivity": self._tuning.connectivity,
            "expansion_add": self._tuning.expansion_add,
            "expansion": found.expansion,
            "recall": found.recall,
            "is_witnessed": found.is_witnessed,
            "calibrated_at": found.count,
        }


def units_of(vectors: Matrix, inverse_norms: Vector, slots: Slots) -> Matrix:
    """Return the vectors in *slots*, brought to length 1."""
    return vectors[slots] * inverse_norms[slots, np.newaxis]
