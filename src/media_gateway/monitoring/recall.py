"""Recall as real queries have it: a few of them are answered again, exactly, off their path."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, replace
from math import sqrt
from statistics import fmean, stdev
from typing import Final

from media_gateway.errors import MediaGatewayError
from media_gateway.models import SearchRequest, SearchResult

_log = logging.getLogger(__name__)

MOST_KEPT: Final = 200
"""Samples of the rolling mean: at a recall of .95 its standard error is about .01, as single answers vary by .1 to .15."""
_SAME_SCORE: Final = 1e-6
"""Scores that differ by less may stand in either order; both stores agree to that much."""


@dataclass(frozen=True, kw_only=True)
class RecallRules:
    """What sampling may cost: a *share* of the searches, *most_a_minute*, each given up after *patience* seconds.

    After a sample that took long there is a pause of so many times as long that sampling takes *load* of the time.
    """

    share: float
    most_a_minute: float
    patience: float = 5.0
    load: float = 0.05


def recall_of(found: SearchResult, exact: SearchResult) -> float:
    """Return the share of the *exact* answer that *found* has, 0 to 1; where there is nothing to find it is 1.

    A hit that scores as well as the exact answer's last one counts, since equal scores may stand in either order.
    """
    if not exact.hits:
        return 1.0
    keys = {hit.key for hit in exact.hits}
    lowest = exact.hits[-1].score - _SAME_SCORE
    good = sum(hit.key in keys or hit.score >= lowest for hit in found.hits)
    return min(good, len(exact.hits)) / len(exact.hits)


class RecallSampler:
    """Compares answers with exact ones, by *rules*, one at a time and on nobody's time; to be used in one event loop.

    *ask* answers a request exactly; it is left alone while *is_busy*. Answers that were exact anyway count as 1 and cost
    nothing. *on_sample* hears of each sample; *draw* gives numbers in [0, 1), *clock* seconds.
    """

    def __init__(
        self,
        ask: Callable[[SearchRequest], Awaitable[SearchResult]],
        rules: RecallRules,
        *,
        on_sample: Callable[[], None],
        is_busy: Callable[[], bool] = lambda: False,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._rules = rules
        self._on_sample = on_sample
        self._is_busy = is_busy
        self._draw = draw
        self._clock = clock
        self._samples: deque[float] = deque(maxlen=MOST_KEPT)
        self._task: asyncio.Task[None] | None = None
        self._next = 0.0
        self._is_closed = False

    @property
    def recall(self) -> float | None:
        """The mean of the last 200 samples, None before the first."""
        return sum(self._samples) / len(self._samples) if self._samples else None

    @property
    def count(self) -> int:
        """Samples that the mean is of."""
        return len(self._samples)

    @property
    def interval(self) -> tuple[float, float]:
        """What the recall lies between for 95 percent sure, by the normal approximation; (0, 1) before two samples."""
        if len(self._samples) < 2:  # noqa: PLR2004  one sample has no deviation
            return 0.0, 1.0
        half = 1.96 * stdev(self._samples) / sqrt(len(self._samples))
        mean = fmean(self._samples)
        return max(0.0, mean - half), min(1.0, mean + half)

    def forget(self) -> None:
        """Begin anew: what was measured holds no more, since the searches were changed."""
        self._samples.clear()

    def saw(self, request: SearchRequest, result: SearchResult) -> None:
        """Take *request* as a sample if it is its turn; returns at once."""
        if self._draw() >= self._rules.share or request.vector is None or request.text is not None:
            return
        if self._task is not None or self._is_closed or self._clock() < self._next:
            return
        self._next = self._clock() + 60 / self._rules.most_a_minute
        if result.exact:
            self._take(1.0)
        elif not self._is_busy():
            # In a context of its own: it outlives the search that it is about.
            task = asyncio.get_running_loop().create_task(self._compare(request, result), context=Context())
            self._task = task

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def aclose(self) -> None:
        """Give up what is under way; closing twice does no harm."""
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _compare(self, request: SearchRequest, result: SearchResult) -> None:
        began = self._clock()
        try:
            async with asyncio.timeout(self._rules.patience):
                exact = await self._ask(replace(request, exact=True))
            self._take(recall_of(result, exact))
        except (MediaGatewayError, TimeoutError) as error:
            _log.info("a search could not be answered exactly to measure its recall: %s", error or "it took too long")
        except Exception:  # noqa: BLE001  no searcher must hear of it
            _log.exception("measuring the recall of a search failed")
        finally:
            taken = self._clock() - began
            self._next = max(self._next, self._clock() + taken * (1 / self._rules.load - 1))
            self._task = None

    def _take(self, recall: float) -> None:
        self._samples.append(recall)
        self._on_sample()
