"""Exact scores: the cosine similarity on the stored float32 vectors."""

import math
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from media_gateway.models import Matrix, Vector
from media_gateway.stores.memory.records import RecordsView, Slots

_GATHERED_ROWS: Final = 4096
"""Rows copied together at a time, when not all rows are wanted: 12 MB at 768 numbers, about a cache."""
GATHERING_COST: Final = 4
"""Rows that can be scored where they lie in the time that one row takes to be copied first (measured: 3 to 5)."""
_THREADED_FLOATS: Final = 8_000_000
ONE_PASS: Final = 16
"""Rows beyond k that are quicker compared in float64 at once than in float32 first."""
_EPSILON: Final = float(np.finfo(np.float32).eps)
_DECIMALS: Final = 12
"""Scores are rounded to this, so that equal directions score equal whatever the lengths of their vectors."""
_SCALE: Final = 10.0**_DECIMALS
_TURNED: Final = -_SCALE
_NEARLY: Final = 1e-4
"""How far from 1 a length may be for the graph, whose scores are off by more than that."""
_FEW: Final = 64
"""Scores that are quicker finished one by one than by numpy: each of its calls costs a search 5 µs or more."""

Ranked: TypeAlias = tuple[float, str, int]
"""A record found: its score with the sign turned, its key and its slot, so that what sorts first is best."""


class Query:
    """A query vector, ready to be compared: in float64 with its *length*."""

    def __init__(self, vector: Vector) -> None:
        self._given = vector
        self.wide: npt.NDArray[np.float64] = vector.astype(np.float64)
        self.length: float = math.sqrt(self.wide.dot(self.wide))

    @property
    def unit(self) -> Vector:
        """The float32 unit vector."""
        return (self.wide / self.length).astype(np.float32)

    def near_unit(self) -> Vector:
        """Return a float32 vector of this direction whose length is 1 to a ten-thousandth, before the caller goes on."""
        return self._given if abs(self.length - 1) < _NEARLY else self.unit

    @property
    def slack(self) -> float:
        """How far float32 scores may be off: four times the error expected of summing that many products."""
        return 4 * _EPSILON * math.sqrt(len(self.wide))


def nearest(records: RecordsView, slots: Slots, query: Query, k: int) -> list[Ranked]:
    """Return the *k* best of *slots*, best first, equal scores in the order of their keys.

    Where there are more than `ONE_PASS` beyond k, *slots* ascend, and there are two passes: float32 for all, then float64
    for those that could be among the best k by its error.
    """
    if len(slots) > k + ONE_PASS:
        rough = rough_scores(records, slots, query)
        bound = np.partition(rough, len(slots) - k)[len(slots) - k]
        slots = slots[rough >= bound - 2 * query.slack]
    found = _few_ranked(records, slots, query) if len(slots) <= _FEW else _ranked(records, slots, query)
    found.sort()
    return found[:k]


def rows_read(slots: Slots) -> int:
    """Return what scanning *slots* costs, in rows scored where they lie."""
    return min(GATHERING_COST * len(slots), int(slots[-1]) + 1 - int(slots[0])) if len(slots) else 0


def rough_scores(records: RecordsView, slots: Slots, query: Query) -> Vector:
    """Return the cosine similarity of each of *slots*, which ascend, as exact as float32 sums are."""
    begin, end, unit = int(slots[0]), int(slots[-1]) + 1, query.unit
    if GATHERING_COST * len(slots) >= end - begin:
        return _products(records.vectors[begin:end], unit)[slots - begin] * records.inverse_norms[slots]
    rough = np.empty(len(slots), dtype=np.float32)
    for start in range(0, len(slots), _GATHERED_ROWS):
        rows = records.vectors.take(slots[start : start + _GATHERED_ROWS], axis=0)
        rough[start : start + _GATHERED_ROWS] = _products(rows, unit)
    return rough * records.inverse_norms[slots]


def _products(rows: Matrix, unit: Vector) -> Vector:
    # A matrix product starts BLAS threads even for small matrices, and waits for them: 10 ms instead of 0.1 on a busy
    # machine. Only where there is much to do is it worth having them.
    return rows @ unit if rows.size > _THREADED_FLOATS else np.vecdot(rows, unit)


def scores_of(records: RecordsView, slots: Slots, query: Query) -> npt.NDArray[np.float64]:
    """Return the cosine similarity of each of *slots*, in [-1, 1], exact to about 1e-12."""
    scores = np.empty(len(slots), dtype=np.float64)
    for start in range(0, len(slots), _GATHERED_ROWS):
        rows = records.vectors.take(slots[start : start + _GATHERED_ROWS], axis=0).astype(np.float64)
        # One product after the other, each added up in the same order, so that equal vectors score equal to the last
        # bit; a matrix product may not.
        products = np.vecdot(rows, query.wide)
        lengths = records.lengths[slots[start : start + _GATHERED_ROWS]]
        scores[start : start + _GATHERED_ROWS] = products / (lengths * query.length)
    return np.minimum(np.maximum(scores.round(_DECIMALS), -1.0), 1.0)


def _ranked(records: RecordsView, slots: Slots, query: Query) -> list[Ranked]:
    turned: list[float] = (-scores_of(records, slots, query)).tolist()
    places: list[int] = slots.tolist()
    return [(score, records.keys[slot], slot) for score, slot in zip(turned, places, strict=True)]


def _few_ranked(records: RecordsView, slots: Slots, query: Query) -> list[Ranked]:
    """Return what `_ranked` does, to the last bit."""
    rows = records.vectors.take(slots, axis=0).astype(np.float64)
    products: list[float] = np.vecdot(rows, query.wide).tolist()
    lengths: list[float] = records.lengths.take(slots).tolist()
    places: list[int] = slots.tolist()
    keys, own = records.keys, query.length
    found: list[Ranked] = []
    for slot, product, length in zip(places, products, lengths, strict=True):
        score = round(product / (length * own) * _TURNED) / _SCALE
        found.append((score if -1 < score < 1 else math.copysign(1.0, score), keys[slot], slot))
    return found
