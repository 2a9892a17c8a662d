"""Running one statement for every query: recall with its confidence interval, and time."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString, TypeVar

import numpy as np
from psycopg import AsyncConnection

from media_gateway.models import Matrix
from media_gateway.stores.postgres.tuning.truth import Truth

_RESAMPLES: Final = 1_000
_T = TypeVar("_T", int, float)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Mean recall, the 95 percent interval of that mean, and the median milliseconds of a search."""

    recall: float
    low: float
    high: float
    p50_ms: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """Where statements are measured: a *connection*, *queries* with their exact answers, the *target* for the recall."""

    connection: AsyncConnection[Any]
    queries: Matrix
    truth: Truth
    target: float

    async def measured(
        self, statement: LiteralString, values: Mapping[str, Any] | None = None, share: float = 1.0
    ) -> Measure:
        """Run *statement*, whose second column is the score, once for each query; its filter passes *share* of the rows."""
        recalls: list[float] = []
        times: list[float] = []
        for number, query in enumerate(self.queries):
            began = time.perf_counter()
            cursor = await self.connection.execute(
                statement, {"vector": query, **(values or {})}, prepare=not values, binary=True
            )
            rows = await cursor.fetchall()
            times.append((time.perf_counter() - began) * 1000)
            recalls.append(self.truth.recall(share, number, [row[1] for row in rows]))
        low, high = interval(recalls)
        return Measure(recall=float(np.mean(recalls)), low=low, high=high, p50_ms=float(np.median(times)))


def interval(recalls: list[float]) -> tuple[float, float]:
    """Return the 95 percent confidence interval of the mean of *recalls*, by resampling whole queries.

    Hits of one query stand or fall together, so counting hits one by one, as Wilson's interval does, would promise too
    much (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, the percentile interval).
    """
    generator = np.random.default_rng(0)
    given = np.asarray(recalls)
    means = given[generator.integers(0, len(given), (_RESAMPLES, len(given)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


async def smallest(
    ladder: tuple[_T, ...], target: float, measure: Callable[[_T], Awaitable[Measure]]
) -> tuple[_T, Measure, bool]:
    """Return the first step of *ladder* whose recall surely reaches *target*, its measure, and whether there is one.

    Recall grows along the ladder, so halves of it are left out. Without such a step the last one is returned.
    """
    tried: dict[int, Measure] = {}
    low, high = 0, len(ladder)
    while low < high:
        middle = (low + high) // 2
        tried[middle] = await measure(ladder[middle])
        if tried[middle].low >= target:
            high = middle
        else:
            low = middle + 1
    place = min(low, len(ladder) - 1)
    if place not in tried:
        tried[place] = await measure(ladder[place])
    return ladder[place], tried[place], low < len(ladder)
