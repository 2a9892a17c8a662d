"""Where a walk of the index begins when what passes a condition lies far from the query, and how far it must go.

A walk from the query yields what is near to it; where none of that passes, it goes on through half the table. So it is
begun elsewhere. The difference between the mean of what passes and the mean of all tells in which direction it lies; along
that alone the query is moved, nearly to where the first tenth of a sample of what passes lies, and a little towards those
of the sample that are most like it. Whatever passes on that walk is ordered by its exact score. How many rows suffice is not
assumed: every scan under the condition tells the exact answer to a query, and on those answers walks are tried.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from media_gateway.models import Matrix, Vector

WALKS: Final = (200, 300, 400, 600, 800, 1_200, 1_600, 2_400, 3_200)
"""How many rows a walk may yield. Of 100,000 rows a tenth passed, at the other end from the query: 400 found .98 of the best ten."""
LEAST_TRIALS: Final = 16
"""Exact answers on whose word a walk is taken for a scan."""
_WORTH: Final = 0.75
"""Of the time of the scan, what a walk may take in its place."""
_TIMED: Final = 4
"""Trials after which a walk that takes longer is tried no more."""
_MOST_TRIALS: Final = 48
_AUDITED: Final = 50
"""Of so many searches one is answered by a scan all the same, which tries the walk again."""
_FIRST: Final = 0.1
_NEARLY: Final = 0.75
"""Which part of the way to the first tenth. Of 100,000 rows of 768 numbers, at shares of 5 to 50 percent, and of 8,000 of 32 numbers,
.7 to .85 led to more of the best than the whole way or a fixed step did."""
_ALIKE: Final = 20
_PULL: Final = 0.15
"""How far towards what passes and is most like the query: .3 leads to fewer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """How a walk did beside a scan: *expected* are the keys that the scan found in *scanned* seconds.

    *places* tell where the walk, of the longest of `Compass.walks`, came to what passes, from 1; it took *walked* seconds.
    """

    expected: Sequence[str]
    scanned: float
    places: Mapping[str, int]
    walked: float


class Compass:
    """Leads walks for one condition to what passes it: *passing* are sampled unit vectors that do, (n, d), *mean* is that of all.

    Walks of up to *most* rows are tried, and taken when they find *target* of the best in less time than a scan. Not for
    several threads.
    """

    def __init__(self, passing: Matrix, mean: Vector, *, most: int, target: float) -> None:
        self._passing = passing
        self._target = target
        if len(passing):
            shift = passing.mean(axis=0) - mean
            self._direction = shift / max(float(np.linalg.norm(shift)), 1e-12)
            self._border = float(np.quantile(passing @ self._direction, _FIRST))
        self.walks: Sequence[int] = [walk for walk in WALKS if walk <= most] if len(passing) else []
        self._recalls: deque[Sequence[float]] = deque(maxlen=_MOST_TRIALS)
        self._costs: deque[float] = deque(maxlen=_MOST_TRIALS)
        self._searches = 0
        self.walk: int | None = None

    def start(self, vector: Vector) -> Vector:
        """Return where the walk for the query *vector* begins, of length 1, (d,) float32; only where there are `walks`."""
        unit = vector / np.linalg.norm(vector)
        likeness = self._passing @ unit
        count = min(_ALIKE, len(likeness))
        alike = self._passing[np.argpartition(-likeness, count - 1)[:count]].mean(axis=0)
        way = max(self._border - float(unit @ self._direction), 0.0)
        moved = unit + _NEARLY * way * self._direction + _PULL * alike / max(float(np.linalg.norm(alike)), 1e-12)
        return (moved / np.linalg.norm(moved)).astype(np.float32)

    def choose(self) -> int | None:
        """Return how many rows the next search's walk may yield, None where it is to be a scan."""
        self._searches += 1
        return None if self._searches % _AUDITED == 0 else self.walk

    @property
    def trials(self) -> int:
        """The number of exact answers that it goes by."""
        return len(self._recalls)

    @property
    def wants_trial(self) -> bool:
        """Whether an exact answer would tell it anything: not when none of its walks will do."""
        return len(self.walks) > 0 and (self.walk is not None or self.trials < _MOST_TRIALS)

    def learn(self, trial: Trial) -> None:
        """Go by *trial* too from now on."""
        self._recalls.append(
            [
                sum(trial.places.get(key, math.inf) <= walk for key in trial.expected) / len(trial.expected)
                for walk in self.walks
            ]
        )
        self._costs.append(trial.walked / self.walks[-1] / trial.scanned)
        self.walk = None
        if self.trials >= _TIMED:
            cost = float(np.median(self._costs))
            self.walks = [walk for walk in self.walks if walk * cost <= _WORTH]
        if self.trials < LEAST_TRIALS:
            return
        recalls = np.array([found[: len(self.walks)] for found in self._recalls])
        # Less the standard error of the mean: half of all samples flatter.
        surely = recalls.mean(axis=0) - recalls.std(axis=0, ddof=1) / math.sqrt(len(recalls))
        self.walk = next((walk for walk, found in zip(self.walks, surely, strict=True) if found >= self._target), None)
