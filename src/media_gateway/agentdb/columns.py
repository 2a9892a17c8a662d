"""The vectors of one kind of row, in memory: searched exactly, and beyond a size through an HNSW graph.

The graph is usearch's. Its nodes are only ever added, by one thread, since it loses nodes whose places are used anew;
when much has changed it is built afresh, in the background, while searches go on comparing with everything.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from media_gateway.agentdb.values import DIMENSION, usable
from media_gateway.models import Matrix, Vector
from media_gateway.vector_math import cosines, unit, units

if TYPE_CHECKING:
    from usearch.index import Index

Positions = npt.NDArray[np.int64]

EXACT_ROWS: Final = 20_000
"""Candidates up to which comparing with each one takes less than 10 ms (docs/howto/agentdb.md has the measurement)."""
SEARCHES_BEFORE_INDEX: Final = 8
"""A graph takes as long to build as some thousand searches without one; a command that asks once wants none."""
_STALE_SHARE: Final = 0.2
_SLACK: Final = 1e-5
"""What float32 sums of 384 products may be off by; candidates that close to the k-th are compared in float64."""
_GATHERING_COST: Final = 4
"""Rows that can be scored where they lie in the time in which one is copied first."""
_GATHERED_ROWS: Final = 256
"""Rows copied together at a time: 400 KB, which stay in a core's cache until they are scored."""
_THREADED_FLOATS: Final = 8_000_000
"""From here on a matrix product, whose threads have to be waken first, is the quicker one."""
_UNIT: Final = 1e-5
"""How far the square of a float32 unit vector's length is from 1 at most."""
_CONNECTIVITY: Final = 16
_EXPANSION_ADD: Final = 128
_EXPANSION: Final = 160
_MOST_ASKED: Final = 4_000


@dataclass(frozen=True, kw_only=True)
class Near:
    """A row found: its *id*, its *position* in the column, and its cosine *similarity*."""

    id: int
    position: int
    similarity: float


class VectorColumn:
    """Ids and unit vectors, in the order in which they came. Used by one thread at a time."""

    def __init__(self) -> None:
        self._ids: Positions = np.empty(0, dtype=np.int64)
        self._units: Matrix = np.empty((0, DIMENSION), dtype=np.float32)
        self._count = 0
        self._graph: tuple[Index, int] | None = None
        self._broad_searches = 0
        self._builder: threading.Thread | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> Positions:
        """The id of each row."""
        return self._ids[: self._count]

    @property
    def is_indexed(self) -> bool:
        """Whether a graph answers broad searches."""
        return self._graph is not None

    def extend(self, ids: Sequence[int] | Positions, vectors: Matrix) -> None:
        """Add rows; vectors that are zero or not finite are kept out of every answer."""
        added = len(ids)
        if self._count + added > len(self._ids):
            room = max(2 * len(self._ids), self._count + added, 1024)
            self._ids = np.concatenate([self.ids, np.empty(room - self._count, dtype=np.int64)])
            larger = np.empty((room, DIMENSION), dtype=np.float32)
            larger[: self._count] = self._units[: self._count]
            self._units = larger
        self._ids[self._count : self._count + added] = ids
        self._units[self._count : self._count + added] = _comparable(vectors)
        self._count += added

    def replace(self, row_id: int, vector: Vector) -> bool:
        """Give a row another vector; tell whether it is there. A graph goes on leading to it by its former one."""
        position = self.positions_of(np.array([row_id], dtype=np.int64))
        if len(position):
            self._units[position] = units(vector[np.newaxis, :])
        return bool(len(position))

    def nearest(self, query: Vector, k: int, positions: Positions | None = None) -> list[Near]:
        """Return the *k* rows nearest to *query* among *positions* (all rows when None), equal ones by id."""
        asked = unit(query)
        rows = self._count if positions is None else len(positions)
        if rows > EXACT_ROWS:
            self._broad_searches += 1
            self._index_when_due()
            found = self._through_graph(asked, k, positions)
            if found is not None:
                return found
        return self._exact(asked, k, positions)

    def similarities(self, query: Vector, positions: Positions) -> npt.NDArray[np.float64]:
        """Return the cosine similarity of *query* to each of the rows at *positions*; 0 where a row has no vector."""
        return cosines(unit(query), self._units[positions])

    def positions_of(self, ids: Positions) -> Positions:
        """Return where *ids* stand, those without a vector left out; the column's ids must ascend."""
        places = np.searchsorted(self.ids, ids)
        places[places == self._count] = 0
        return places[self.ids[places] == ids].astype(np.int64) if self._count else np.empty(0, dtype=np.int64)

    def wait_for_index(self) -> None:
        """Build the graph now and wait for it, whatever it takes."""
        self._start_building()
        if self._builder is not None:
            self._builder.join()

    def _exact(self, asked: Vector, k: int, positions: Positions | None) -> list[Near]:
        return self._ranked(asked, self._shortlist(asked, k, positions), k)

    def _shortlist(self, asked: Vector, k: int, positions: Positions | None, begin: int = 0) -> Positions:
        """Return those of *positions*, or of all from *begin*, that may be among the best *k* by float32's error."""
        if positions is None:
            positions = np.arange(begin, self._count, dtype=np.int64)
            scores = _products(self._units[begin : self._count], asked)
        elif len(positions) * _GATHERING_COST > self._count:
            scores = _products(self._units[: self._count], asked)[positions]
        else:
            scores = self._gathered_products(asked, positions)
        if len(scores) <= k:
            return positions
        bound = np.partition(scores, len(scores) - k)[len(scores) - k]
        return positions[scores >= bound - _SLACK]

    def _gathered_products(self, asked: Vector, positions: Positions) -> Vector:
        scores = np.empty(len(positions), dtype=np.float32)
        for start in range(0, len(positions), _GATHERED_ROWS):
            rows = self._units.take(positions[start : start + _GATHERED_ROWS], axis=0)
            scores[start : start + _GATHERED_ROWS] = np.vecdot(rows, asked)
        return scores

    def _ranked(self, asked: Vector, positions: Positions, k: int) -> list[Near]:
        rows = self._units[positions]
        there = rows.any(axis=1)
        positions, rows = positions[there], rows[there]
        similarities = cosines(asked, rows)
        order = np.lexsort((self._ids[positions], -np.round(similarities, 12)))[:k]
        return [
            Near(id=int(self._ids[position]), position=int(position), similarity=float(similarity))
            for position, similarity in zip(positions[order], similarities[order], strict=True)
        ]

    def _through_graph(self, asked: Vector, k: int, positions: Positions | None) -> list[Near] | None:
        """Return the nearest by the graph and the rows that it lacks, None when it finds fewer than *k*."""
        if self._graph is None:
            return None
        index, covered = self._graph
        share = 1.0 if positions is None else len(positions) / self._count
        wanted = int(2 * k / share) + 16
        if wanted > _MOST_ASKED:
            return None
        index.expansion_search = max(_EXPANSION, wanted)
        nodes = np.asarray(index.search(asked, min(wanted, covered), threads=1).keys).astype(np.int64)
        newer = None if positions is None else positions[positions >= covered]
        if positions is not None:
            allowed = np.zeros(self._count, dtype=np.bool_)
            allowed[positions] = True
            nodes = nodes[allowed[nodes]]
        candidates = np.concatenate([nodes, self._shortlist(asked, k, newer, covered)])
        return self._ranked(asked, candidates, k) if len(candidates) >= k else None

    def _index_when_due(self) -> None:
        covered = self._graph[1] if self._graph is not None else 0
        behind = self._count - covered
        if self._broad_searches >= SEARCHES_BEFORE_INDEX and behind > max(_STALE_SHARE * covered, 1):
            self._start_building()

    def _start_building(self) -> None:
        if self._builder is not None and self._builder.is_alive():
            return
        # The rows that are there now stay as they are, also when the array is replaced by a larger one.
        rows = self._units[: self._count]
        self._builder = threading.Thread(target=self._build, args=(rows,), daemon=True, name="agentdb-index")
        self._builder.start()

    def _build(self, rows: Matrix) -> None:
        # Imported here, since few files are large enough to want it.
        from usearch.index import Index  # noqa: PLC0415

        index = Index(
            ndim=DIMENSION,
            metric="ip",
            dtype="f16",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
            expansion_search=_EXPANSION,
        )
        index.add(np.arange(len(rows), dtype=np.uint64), rows, threads=1)
        self._graph = (index, len(rows))


def _comparable(vectors: Matrix) -> Matrix:
    """Return *vectors* at length 1, zero where one cannot be compared; most are of length 1 already."""
    with np.errstate(invalid="ignore", over="ignore"):
        squares = np.vecdot(vectors, vectors)
        odd = ~(np.abs(squares - 1.0) < _UNIT)
    if not odd.any():
        return vectors
    rows = vectors.copy()
    good = usable(rows[odd])
    rows[odd] = units(np.where(good[:, np.newaxis], rows[odd], 0.0))
    return rows


def _products(rows: Matrix, asked: Vector) -> Vector:
    return rows @ asked if rows.size > _THREADED_FLOATS else np.vecdot(rows, asked)
