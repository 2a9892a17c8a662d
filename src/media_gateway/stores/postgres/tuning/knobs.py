"""What searches are set to: by a measurement, or by what was measured elsewhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

LARGEST_EF: Final = 1_000
"""The largest `hnsw.ef_search` that pgvector takes."""
_RERANKED: Final = 1.25
"""It moves scores by some 1e-5: at 100,000 rows, 12 candidates for ten hits found as many of the best ten as 16 and 20 did."""
_LEAST_TURN: Final = 1_000
_SEQUENTIAL_RATIO: Final = 20.0
"""Rows that are read and refused in the order of the table in the time that the index takes to yield one."""
_WALK_MARGIN: Final = 2.0
"""By how much more than enough for rows spread evenly may be walked: three deviations for a dozen candidates."""
_SPENT: Final = 0.25
"""What a walk in vain may add to the scan that follows."""


@dataclass(frozen=True, kw_only=True)
class SearchKnobs:
    """How an index is searched.

    *ef_search* is the width without a filter for the best *k*. *factors* are pairs, the largest first: a share of the rows, and how many
    times k candidates are fetched for filters that pass at least as much. *walk_ratio* is how many rows can be compared
    in the time that the index takes to yield one. *measured_at* is None for what was not measured here.
    """

    ef_search: int
    factors: Sequence[tuple[float, float]]
    walk_ratio: float
    k: int = 10
    measured_at: datetime | None = None

    def factor(self, share: float) -> float:
        """Return how many times k candidates a filter that passes *share* of the rows needs."""
        return next((factor for least, factor in self.factors if share >= least), self.factors[-1][1])

    def width(self, k: int) -> int:
        """Return the `ef_search` of a search without a filter for the best *k*."""
        # The index returns what it has seen: to find more well than was measured it must look at more than those.
        wanted = self.ef_search if k <= self.k else max(2 * k, self.ef_search)
        return min(wanted, LARGEST_EF)

    def turn(self, rows: int, k: int, *, is_indexed: bool) -> int:
        """Return from how many passing rows on the index is the cheaper way to *k* of *rows*.

        Fetching f candidates through a filter that passes p of n rows takes the index f n / p steps; comparing takes p,
        or n where the server has no index for the filter (not *is_indexed*).
        """
        fetch = k * self.factors[-1][1]
        if not is_indexed:
            return int(fetch * self.walk_ratio * _SEQUENTIAL_RATIO / UNTUNED.walk_ratio)
        return max(_LEAST_TURN, int(math.sqrt(fetch * self.walk_ratio * rows)))

    def walk(self, fetch: int, share: float, rows: int, second: float) -> int:
        """Return after how many rows of the index a search for *fetch* candidates gives up, and goes the *second* way.

        That is enough for rows spread evenly. Where it is not, what passes lies far from the query, and the index finds it
        slowly and badly: more is spent on it only up to a quarter of what the *second* way then costs, in rows compared. What
        one width yields comes in one go; and beyond a twentieth of *rows* reading them all takes no longer.
        """
        enough = min(_WALK_MARGIN * fetch / max(share, 1e-9), rows / _SEQUENTIAL_RATIO)
        spent = _SPENT * second / self.walk_ratio
        return int(min(max(enough, spent, self.ef_search, fetch), 2**31 - 1))


def candidates(k: int, *, is_halved: bool) -> int:
    """Return how many an index gives for the best *k*: some more where its numbers are halved, and rounded.

    They are put in order by their exact scores, so that rounding moves no hit out of the best.
    """
    return math.ceil(k * _RERANKED) if is_halved else k


UNTUNED: Final = SearchKnobs(ef_search=100, factors=((0.3, 1.5), (0.0, 2.0)), walk_ratio=4.2)
"""For a collection that was never tuned. Made-up vectors that are harder than film texts need a width of 100 for a recall
of .95 at 100,000 rows; filters that pass 5 to 10 percent of those found .945 to .97 of the best k with k candidates, .97 to .985 with
half as many more and .98 to .99 with twice as many. A row costs 2.4 µs to compare and 10 µs to be yielded by the index."""
