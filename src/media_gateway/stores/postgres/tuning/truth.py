"""The exact answers that recall is measured against: one pass over the table answers all queries, under all filters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import anyio.to_thread
import numpy as np
import numpy.typing as npt
from psycopg import AsyncConnection

from media_gateway.database.statements import filled
from media_gateway.database.where import Where
from media_gateway.models import Matrix

_AT_ONCE: Final = 2_000
_SAME_SCORE: Final = 1e-5
"""By score and not by key, since any of several equal records will do; float32 sums differ by less."""
_DRAW: Final = "hashtext({{key}}) & 1048575"
"""A number from 0 to 2^20-1 that says nothing of the record: what is below a bound stands for a filter."""
_ROWS: Final = "SELECT vector, {{draw}} FROM {{table}}"

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """For each of *shares* and each query the score of the k-th best record, (shares, queries), among *counts* records.

    *rows* is how many records there were at all.
    """

    shares: Sequence[float]
    worst: Scores
    counts: Sequence[int]
    rows: int
    k: int

    def recall(self, share: float, query: int, scores: Sequence[float]) -> float:
        """Return which part of the best k records of *query* are those with *scores*, or others as good."""
        place = list(self.shares).index(share)
        expected = min(self.k, self.counts[place])
        if not expected:
            return 1.0
        least = float(self.worst[place, query]) - _SAME_SCORE
        return min(1.0, sum(score >= least for score in scores) / expected)


def drawn(share: float, key: str = "id") -> Where:
    """Return a filter that passes *share* of the records, whatever they hold; 1 is none."""
    if share >= 1:
        return Where(text="", values={})
    text = f"({filled(_DRAW, {'key': key})}) < %(bound)s::integer"
    return Where(text=text, values={"bound": round(share * 2**20)})


async def exact_answers(
    connection: AsyncConnection[Any],
    queries: Matrix,
    shares: Sequence[float],
    k: int,
    *,
    table: LiteralString = "content_vectors",
) -> Truth:
    """Compare every record of *table* with all *queries*, in memory for a few thousand records."""
    best = np.full((len(shares), len(queries), k), -2, dtype=np.float32)
    counts = np.zeros(len(shares), dtype=np.int64)
    bounds = [round(share * 2**20) for share in shares]
    statement = filled(_ROWS, {"draw": filled(_DRAW, {"key": "id"}), "table": table})
    rows = 0
    async with connection.transaction(), connection.cursor("exact_answers") as cursor:
        await cursor.execute(statement, binary=True)
        while chunk := await cursor.fetchmany(_AT_ONCE):
            rows += len(chunk)
            best, passing = await anyio.to_thread.run_sync(_merged, best, chunk, queries, bounds)
            counts += passing
    return Truth(shares=shares, worst=_kth(best, counts), counts=counts.tolist(), rows=rows, k=k)


def _merged(
    best: Scores, chunk: Sequence[Sequence[Any]], queries: Matrix, bounds: Sequence[int]
) -> tuple[Scores, npt.NDArray[np.int64]]:
    vectors = np.array([row[0] for row in chunk], dtype=np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    draws = np.array([row[1] for row in chunk])
    scores = queries @ vectors.astype(np.float32).T
    merged = np.empty_like(best)
    passing = np.zeros(len(bounds), dtype=np.int64)
    for place, bound in enumerate(bounds):
        passes = draws < bound
        passing[place] = np.count_nonzero(passes)
        together = np.hstack([best[place], scores[:, passes]])
        merged[place] = np.partition(together, -best.shape[2], axis=1)[:, -best.shape[2] :]
    return merged, passing


def _kth(best: Scores, counts: npt.NDArray[np.int64]) -> Scores:
    """Return the worst of the best scores; where fewer than k records pass, the worst of those."""
    ordered = np.sort(best, axis=2)
    k = best.shape[2]
    return np.stack([ordered[place, :, k - max(1, min(k, int(count)))] for place, count in enumerate(counts)])
