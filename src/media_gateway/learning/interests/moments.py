"""Mean and spread of a score over all items, from two sums instead of all vectors."""

from dataclasses import dataclass

import numpy as np

from media_gateway.learning.interests.arrays import Numbers

_FLAT = 1e-12


@dataclass(kw_only=True)
class Moments:
    """Of *count* vectors their *total* (d,) and their *gram* (d, d), the sum of outer products; kept up to date."""

    count: float
    total: Numbers
    gram: Numbers

    @classmethod
    def of(cls, vectors: Numbers) -> "Moments":
        """Return the moments of the rows of *vectors* (n, d)."""
        return cls(count=float(len(vectors)), total=vectors.sum(axis=0), gram=vectors.T @ vectors)

    def replace(self, before: Numbers, after: Numbers) -> None:
        """Take the rows *before* (m, d) out and the rows *after* (m, d) in."""
        self.total += after.sum(axis=0) - before.sum(axis=0)
        self.gram += after.T @ after - before.T @ before

    def spread(self, user: Numbers) -> tuple[float, float]:
        """Return mean and standard deviation of user . v over all vectors v; a spread of 0 where all score the same."""
        if self.count == 0:
            return 0.0, 0.0
        mean = float(user @ self.total) / self.count
        square = float(user @ self.gram @ user) / self.count
        variance = square - mean * mean
        return mean, float(np.sqrt(variance)) if variance > _FLAT * max(square, _FLAT) else 0.0
