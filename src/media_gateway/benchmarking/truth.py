"""The exact answers, computed over a stream of blocks, and what share of them a system finds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from media_gateway.models import Matrix

K: Final = 10
_KEPT: Final = 4 * K
"""Candidates a query that are remembered, so that rows that score as well as the tenth count too."""
_SAME_SCORE: Final = 1e-6
"""Sums in float32 differ by this much between libraries."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """For each query the row numbers of its best rows, best first, and their cosine similarities: (q, kept) each."""

    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]

    def recall(self, found: Sequence[Sequence[int]], asked: Sequence[int]) -> float:
        """Return the mean share of the best ten that *found*, the answers to the queries of the numbers *asked*, names.

        A row that scores as well as the tenth best stands for it.
        """
        return float(np.mean([self._share(query, answer) for query, answer in zip(asked, found, strict=True)]))

    def _share(self, query: int, answer: Sequence[int]) -> float:
        wanted = min(K, self.rows.shape[1])
        scores = self.scores[query]
        good = self.rows[query][scores >= scores[wanted - 1] - _SAME_SCORE]
        return min(len(set(answer) & set(good.tolist())), wanted) / wanted


def exact_truth(blocks: Iterable[Matrix], queries: Matrix) -> Truth:
    """Return the truth of *queries*, (q, d), over *blocks* of rows; all are unit length. Holds one block at a time."""
    rows: npt.NDArray[np.int64] = np.empty((len(queries), 0), dtype=np.int64)
    scores: npt.NDArray[np.float32] = np.empty((len(queries), 0), dtype=np.float32)
    begin = 0
    for block in blocks:
        found = queries @ block.T
        numbers = np.broadcast_to(np.arange(begin, begin + len(block)), found.shape)
        rows, scores = _best(np.hstack([rows, numbers]), np.hstack([scores, found]))
        begin += len(block)
    order = np.argsort(-scores, axis=1, kind="stable")
    return Truth(rows=np.take_along_axis(rows, order, 1), scores=np.take_along_axis(scores, order, 1))


def _best(
    rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    if scores.shape[1] <= _KEPT:
        return rows, scores
    chosen = np.argpartition(scores, -_KEPT, axis=1)[:, -_KEPT:]
    return np.take_along_axis(rows, chosen, 1), np.take_along_axis(scores, chosen, 1)
