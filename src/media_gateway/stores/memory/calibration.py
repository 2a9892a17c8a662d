"""Measuring the recall of the index, and choosing the width of its searches by it.

Records of the collection make poor queries: they are nodes themselves, linked to the very neighbours that are looked
for (random directions: .965 measured so, .90 in truth). So each trial moves a record as far away as its tenth neighbour
lies, in a direction that the data has: the difference of two other records.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from media_gateway.models import Matrix, Vector
from media_gateway.stores.memory.exact import Query, scores_of
from media_gateway.stores.memory.index import units_of
from media_gateway.stores.memory.records import RecordsView, Slots

RECALL_AT: Final = 10
_TRIALS: Final = 100
_ROWS_AT_ONCE: Final = 8192
_SAME_SCORE: Final = 1e-5
"""By score and not by name, since any of several equal records will do; float32 sums differ by less."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """A query whose *count* best records score *worst* or better."""

    query: Query
    count: int
    worst: float

    def found(self, view: RecordsView, slots: Slots) -> int:
        """Return how many of the best records are among *slots*, or others that score as well."""
        scores = np.sort(scores_of(view, slots, self.query))[-self.count :]
        return int(np.count_nonzero(scores >= self.worst - _SAME_SCORE))


def trials_of(view: RecordsView, slots: Slots) -> list[Trial]:
    """Return trials on the records in *slots*, the same ones each time for the same records."""
    generator = np.random.default_rng(0)
    chosen = generator.choice(slots, min(_TRIALS, len(slots)), replace=False)
    origins = _units(view, chosen)
    reach = _best_scores(view, slots, origins, min(RECALL_AT + 1, len(slots)))
    distance = np.sqrt(np.maximum(2 - 2 * reach, 0))[:, np.newaxis]
    pairs = _units(view, generator.choice(slots, 2 * len(chosen)))
    directions = pairs[: len(chosen)] - pairs[len(chosen) :]
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    queries = origins + distance * directions / np.maximum(lengths, np.finfo(np.float32).tiny)
    count = min(RECALL_AT, len(slots))
    # Where a record was moved onto the origin there is no direction left to look in.
    usable = queries[np.linalg.norm(queries, axis=1) > np.finfo(np.float32).eps].astype(np.float32)
    worst = _best_scores(view, slots, usable / np.linalg.norm(usable, axis=1, keepdims=True), count)
    return [
        Trial(query=Query(query), count=count, worst=score) for query, score in zip(usable, worst.tolist(), strict=True)
    ]


def _units(view: RecordsView, slots: Slots) -> Matrix:
    return units_of(view.vectors, view.inverse_norms, slots)


def _best_scores(view: RecordsView, slots: Slots, queries: Matrix, count: int) -> Vector:
    """Return for each of *queries* the score of its *count*-th best record."""
    best: npt.NDArray[np.float32] = np.full((len(queries), count), -2, dtype=np.float32)
    for begin in range(0, len(slots), _ROWS_AT_ONCE):
        scores = queries @ _units(view, slots[begin : begin + _ROWS_AT_ONCE]).T
        best = np.partition(np.hstack([best, scores]), -count, axis=1)[:, -count:]
    return best.min(axis=1)
