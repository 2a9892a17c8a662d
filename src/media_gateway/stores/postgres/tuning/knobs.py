"""What searches are set to: by a measurement, or by what was measured elsewhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

LARGEST_EF: Final = 1_000
"""The largest `hnsw.ef_search` that pgvector takes."""
_LEAST_TURN: Final = 1_000
_SEQUENTIAL_RATIO: Final = 20.0
"""Rows that are read and refused in the order of the table in the time that the index takes to yield one."""
_VISITED: Final = 10.0
"""Nodes that the index visits to yield one row, which is what pgvector counts."""
_WALK_MARGIN: Final = 3.0
"""By how much more than enough for rows spread evenly may be visited."""
_LEAST_WALK: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class SearchKnobs:
    """How an index is searched.

    *ef_search* is the width without a filter. *factors* are pairs, the largest first: a share of the rows, and how many
    times k candidates are fetched for filters that pass at least as much. *walk_ratio* is how many rows can be compared
    in the time that the index takes to yield one. *measured_at* is None for what was not measured here.
    """

    ef_search: int
    factors: Sequence[tuple[float, float]]
    walk_ratio: float
    measured_at: datetime | None = None

    def factor(self, share: float) -> float:
        """Return how many times k candidates a filter that passes *share* of the rows needs."""
        return next((factor for least, factor in self.factors if share >= least), self.factors[-1][1])

    def width(self, fetch: int) -> int:
        """Return the `ef_search` of a search without a filter for *fetch* candidates."""
        # The index returns what it has seen: to find many well it must look at more than those.
        wanted = self.ef_search if 2 * fetch <= self.ef_search else max(2 * fetch, self.ef_search)
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

    def walk(self, fetch: int, share: float, rows: int) -> int:
        """Return how many nodes the index may visit for *fetch* candidates before a scan is begun instead.

        That is enough for rows spread evenly. Where it is not, what passes lies far from the query: the index would find it
        slowly and badly. Nor may it visit more than half of *rows*, since reading them all takes no longer.
        """
        enough = _WALK_MARGIN * _VISITED * fetch / max(share, 1e-9)
        return int(min(max(min(enough, rows / 2), _LEAST_WALK), 2**31 - 1))


UNTUNED: Final = SearchKnobs(ef_search=100, factors=((0.3, 2.0), (0.0, 2.5)), walk_ratio=4.2)
"""For a collection that was never tuned. Made-up vectors that are harder than film texts need a width of 100 for a recall
of .95 at 100,000 rows; of 50,000, filters that pass 0.4 to 10 percent found .92 to .94 with k candidates and .97 to .98 with
twice as many (benchmarks/filter_table.py). A row costs 2.4 µs to compare and 10 µs to be yielded by the index."""
