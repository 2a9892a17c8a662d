"""Measuring the recall of the index, with queries that `media_gateway.trial_queries` makes of records."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from media_gateway.models import Matrix
from media_gateway.stores.memory.exact import Query, scores_of
from media_gateway.stores.memory.index import units_of
from media_gateway.stores.memory.records import RecordsView, Slots
from media_gateway.trial_queries import NEIGHBOURS, REACH, distances_of, local_places, moved

RECALL_AT: Final = 10
_TRIALS: Final = 400
_ROWS_AT_ONCE: Final = 4096
SAME_SCORE: Final = 1e-5
"""By score and not by name, since any of several equal records will do; float32 sums differ by less."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """A query whose *count* best records score *worst* or better."""

    query: Query
    count: int
    worst: float

    def hits(self, view: RecordsView, slots: Slots) -> int:
        """Return how many of the best records are among *slots*, or others that score as well."""
        scores = np.sort(scores_of(view, slots, self.query))[-self.count :]
        return int(np.count_nonzero(scores >= self.worst - SAME_SCORE))


def trials_of(view: RecordsView, slots: Slots) -> list[Trial]:
    """Return trials on the records in *slots*, the same ones each time for the same records."""
    generator = np.random.default_rng(0)
    chosen = generator.choice(slots, min(_TRIALS, len(slots)), replace=False)
    origins = _units(view, chosen)
    others = min(NEIGHBOURS, len(slots) - 1)
    # One more, since the best of all is the record itself.
    near = best_of(view, slots, origins, others + 1)
    places = np.array([local_places(others, generator) for _ in chosen])
    first, second = np.take_along_axis(near.slots, places, axis=1).T
    pairs = generator.choice(slots, (2, len(chosen)))
    queries = moved(
        origins,
        distances_of(near.scores[:, min(REACH, others)]),
        (_units(view, first), _units(view, second)),
        (_units(view, pairs[0]), _units(view, pairs[1])),
    )
    count = min(RECALL_AT, len(slots))
    worst = best_of(view, slots, queries, count).scores[:, -1]
    return [
        Trial(query=Query(query), count=count, worst=score)
        for query, score in zip(queries, worst.tolist(), strict=True)
    ]


@dataclass(frozen=True, kw_only=True, eq=False)
class Best:
    """The best records of each query, best first: (queries, count); with a score of -2 where there are not so many."""

    scores: Matrix
    slots: "np.ndarray[tuple[int, int], np.dtype[np.intp]]"


def best_of(
    view: RecordsView, slots: Slots, queries: Matrix, count: int, *, is_late: Callable[[slice], Any] | None = None
) -> Best:
    """Compare every record in *slots* with all *queries*.

    *is_late* tells of a part of *slots* which records a query leaves out: a mask (queries, records).
    """
    scores: Matrix = np.full((len(queries), count), -2, dtype=np.float32)
    found = np.zeros((len(queries), count), dtype=np.intp)
    for begin in range(0, len(slots), _ROWS_AT_ONCE):
        rows = slice(begin, begin + _ROWS_AT_ONCE)
        part = slots[rows]
        found_here = queries @ _units(view, part).T
        if is_late is not None:
            found_here[is_late(rows)] = -2
        together = np.hstack([scores, found_here])
        best = np.argpartition(together, -count, axis=1)[:, -count:]
        former = np.take_along_axis(found, np.minimum(best, count - 1), axis=1)
        found = np.where(best < count, former, part[np.maximum(best - count, 0)])
        scores = np.take_along_axis(together, best, axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")
    return Best(scores=np.take_along_axis(scores, order, axis=1), slots=np.take_along_axis(found, order, axis=1))


def _units(view: RecordsView, slots: Slots) -> Matrix:
    return units_of(view.vectors, view.inverse_norms, slots)
