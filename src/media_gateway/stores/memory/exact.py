"""Exact scores: the cosine similarity on the stored float32 vectors."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from media_gateway.models import Matrix, Vector
from media_gateway.stores.memory.records import RecordsView, Slots

_GATHERED_ROWS: Final = 4096
"""Rows copied together at a time, when not all rows are wanted: 12 MB at 768 numbers, about a cache."""
GATHERING_COST: Final = 4
"""Rows that can be scored where they lie in the time that one row takes to be copied first (measured: 3 to 5)."""
_THREADED_FLOATS: Final = 8_000_000
_ONE_PASS: Final = 16
"""Rows beyond k that are quicker compared in float64 at once than in float32 first."""
_EPSILON: Final = float(np.finfo(np.float32).eps)
_DECIMALS: Final = 12
"""Scores are rounded to this, so that equal directions score equal whatever the lengths of their vectors."""


class Ranked(NamedTuple):
    """A record found: its slot and its score."""

    slot: int
    score: float


class Query:
    """A query vector, ready to be compared: in float64, and as a float32 unit vector."""

    def __init__(self, vector: Vector) -> None:
        wide = vector.astype(np.float64)
        self.wide: npt.NDArray[np.float64] = wide / math.sqrt(wide.dot(wide))
        self.unit: Vector = self.wide.astype(np.float32)
        self.slack: float = 4 * _EPSILON * math.sqrt(len(vector))
        """How far float32 scores may be off: four times the error expected of summing that many products."""


def nearest(records: RecordsView, slots: Slots, query: Query, k: int) -> list[Ranked]:
    """Return the *k* best of *slots* (ascending), best first, equal scores in the order of their keys.

    Two passes, unless there are few: float32 for all, then float64 for those that could be among the best k by its error.
    """
    if len(slots) > k + _ONE_PASS:
        rough = _rough_scores(records, slots, query)
        bound = np.partition(rough, len(slots) - k)[len(slots) - k]
        slots = slots[rough >= bound - 2 * query.slack]
    scores = scores_of(records, slots, query)
    places: list[int] = slots.tolist()
    keys = [records.keys[slot] for slot in places]
    found = sorted(zip((-scores).tolist(), keys, places, strict=True))
    return [Ranked(slot=slot, score=-negated) for negated, _, slot in found[:k]]


def rows_read(slots: Slots) -> int:
    """Return what scanning *slots* costs, in rows scored where they lie."""
    return min(GATHERING_COST * len(slots), int(slots[-1]) + 1 - int(slots[0])) if len(slots) else 0


def _rough_scores(records: RecordsView, slots: Slots, query: Query) -> Vector:
    begin, end = int(slots[0]), int(slots[-1]) + 1
    if GATHERING_COST * len(slots) >= end - begin:
        return _products(records.vectors[begin:end], query)[slots - begin] * records.inverse_norms[slots]
    rough = np.empty(len(slots), dtype=np.float32)
    for start in range(0, len(slots), _GATHERED_ROWS):
        rows = records.vectors.take(slots[start : start + _GATHERED_ROWS], axis=0)
        rough[start : start + _GATHERED_ROWS] = _products(rows, query)
    return rough * records.inverse_norms[slots]


def _products(rows: Matrix, query: Query) -> Vector:
    # A matrix product starts BLAS threads even for small matrices, and waits for them: 10 ms instead of 0.1 on a busy
    # machine. Only where there is much to do is it worth having them.
    return rows @ query.unit if rows.size > _THREADED_FLOATS else np.vecdot(rows, query.unit)


def scores_of(records: RecordsView, slots: Slots, query: Query) -> npt.NDArray[np.float64]:
    """Return the cosine similarity of each of *slots*, in [-1, 1], exact to about 1e-12."""
    scores = np.empty(len(slots), dtype=np.float64)
    for start in range(0, len(slots), _GATHERED_ROWS):
        rows = records.vectors.take(slots[start : start + _GATHERED_ROWS], axis=0).astype(np.float64)
        # One product after the other, each added up in the same order, so that equal vectors score equal to the last
        # bit; a matrix product may not.
        products = np.vecdot(rows, query.wide)
        scores[start : start + _GATHERED_ROWS] = products / np.sqrt(np.vecdot(rows, rows))
    return np.minimum(np.maximum(scores.round(_DECIMALS), -1.0), 1.0)


def above(found: Sequence[Ranked], min_score: float | None) -> list[Ranked]:
    """Return those of *found* that score above *min_score*."""
    return [one for one in found if min_score is None or one.score > min_score]
