"""Asking the other store beside an answer, and comparing the two."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from media_gateway.contracts import VectorStore
from media_gateway.errors import MediaGatewayError
from media_gateway.models import SearchRequest, SearchResult
from media_gateway.rollout.guard import percentile
from media_gateway.rollout.patience import stop
from media_gateway.rollout.state import Side, other

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 4
"""Searches beside the answers at a time; what comes meanwhile is not compared."""
_PATIENCE: Final = 10.0
"""Seconds that the other store gets."""
_MOST_KEPT: Final = 10_000
_LAST: Final = 200
_DIFFERING: Final = 10
"""Searches that differed, kept to be looked at."""
_NAMED: Final = 5
_SAME_SCORE: Final = 1e-3
"""Below it a difference of scores comes from the order in which floats were added."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One comparison: the share of hits that both gave, the largest difference of their scores, latencies in ms."""

    overlap: float
    score_difference: float
    old_ms: float
    new_ms: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What comparisons came to; figures are None when there were none.

    *dropped* searches were not compared since too many were under way, *failed* ones since the other store failed.
    """

    compared: int
    dropped: int
    failed: int
    overlap_mean: float | None = None
    overlap_lowest: float | None = None
    score_difference_largest: float | None = None
    old_p50_ms: float | None = None
    old_p95_ms: float | None = None
    new_p50_ms: float | None = None
    new_p95_ms: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Differing:
    """A search at the time *at* that the stores answered differently; of *hits* records the share *overlap* is the same.

    *only_memory* and *only_postgres* are the first keys, five at most, that one store alone gave, best first. Both are
    empty where the records are the same and their scores are not.
    """

    at: datetime
    hits: int
    overlap: float
    score_difference: float
    only_memory: list[str]
    only_postgres: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {**asdict(self), "at": self.at.isoformat(timespec="milliseconds")}


def difference(old: SearchResult, new: SearchResult, *, at: datetime) -> Differing | None:
    """Return how *new*, which PostgreSQL gave, differs from *old* of memory; None where it does not."""
    share, largest = overlap(old, new), score_difference(old, new)
    if share == 1.0 and largest < _SAME_SCORE:
        return None
    return Differing(
        at=at,
        hits=max(len(old.hits), len(new.hits)),
        overlap=share,
        score_difference=largest,
        only_memory=_missing(old, new),
        only_postgres=_missing(new, old),
    )


def _missing(given: SearchResult, other: SearchResult) -> list[str]:
    keys = {hit.key for hit in other.hits}
    return [hit.key for hit in given.hits if hit.key not in keys][:_NAMED]


def overlap(first: SearchResult, second: SearchResult) -> float:
    """Return the share of hits that both results have; two empty results agree wholly."""
    keys, others = {hit.key for hit in first.hits}, {hit.key for hit in second.hits}
    most = max(len(keys), len(others))
    return len(keys & others) / most if most else 1.0


def score_difference(first: SearchResult, second: SearchResult) -> float:
    """Return the largest difference between the scores that both results give a record, 0 without one."""
    scores = {hit.key: hit.score for hit in first.hits}
    return max((abs(scores[hit.key] - hit.score) for hit in second.hits if hit.key in scores), default=0.0)


class Shadow:
    """Compares answers with those of the other store, in the background and a few at a time.

    *on_overlap* gets the overlap of each comparison, *on_failure* the milliseconds after which PostgreSQL failed.
    """

    def __init__(self, on_overlap: Callable[[float], None]) -> None:
        self._on_overlap = on_overlap
        self._tasks: set[asyncio.Task[None]] = set()
        self._compared: list[Compared] = []
        self._dropped = 0
        self._failed = 0
        self._overlaps: deque[float] = deque(maxlen=_LAST)
        self._differing: deque[Differing] = deque(maxlen=_DIFFERING)

    @property
    def overlap(self) -> float | None:
        """The mean overlap of the last 200 comparisons of this process, None before the first."""
        return sum(self._overlaps) / len(self._overlaps) if self._overlaps else None

    @property
    def differing(self) -> list[Differing]:
        """The last ten searches of this process that the stores answered differently, the latest first."""
        return list(reversed(self._differing))

    def compare(
        self, request: SearchRequest, given: SearchResult, milliseconds: float, *, by: Side, beside: VectorStore
    ) -> None:
        """Ask the store *beside* too, after *by* has given an answer; returns at once."""
        if len(self._tasks) >= _AT_ONCE:
            self._dropped += 1
            return
        task = asyncio.create_task(self._ask(request, given, milliseconds, by, beside))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(
        self, request: SearchRequest, given: SearchResult, milliseconds: float, by: Side, beside: VectorStore
    ) -> None:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await beside.search(request)
        except (MediaGatewayError, TimeoutError) as error:
            self._failed += 1
            _log.info("the %s store gave no answer to be compared: %s", other(by), error)
            return
        taken = (time.perf_counter() - began) * 1000
        compared = Compared(
            overlap=overlap(given, answer),
            score_difference=score_difference(given, answer),
            old_ms=milliseconds if by == "memory" else taken,
            new_ms=taken if by == "memory" else milliseconds,
        )
        if len(self._compared) < _MOST_KEPT:
            self._compared.append(compared)
        self._overlaps.append(compared.overlap)
        olds, news = (given, answer) if by == "memory" else (answer, given)
        found = difference(olds, news, at=datetime.now(UTC))
        if found is not None:
            self._differing.append(found)
        self._on_overlap(compared.overlap)

    def summary(self) -> Summary | None:
        """Return what was compared since the last `taken`; None when nothing was."""
        found = self._compared
        if not found and not self._failed and not self._dropped:
            return None
        counts = {"compared": len(found), "dropped": self._dropped, "failed": self._failed}
        if not found:
            return Summary(**counts)
        olds, news = [one.old_ms for one in found], [one.new_ms for one in found]
        return Summary(
            **counts,
            overlap_mean=sum(one.overlap for one in found) / len(found),
            overlap_lowest=min(one.overlap for one in found),
            score_difference_largest=max(one.score_difference for one in found),
            old_p50_ms=percentile(olds, 0.5),
            old_p95_ms=percentile(olds, 0.95),
            new_p50_ms=percentile(news, 0.5),
            new_p95_ms=percentile(news, 0.95),
        )

    def taken(self) -> Summary | None:
        """Return what `summary` does, and begin anew."""
        summary = self.summary()
        self._compared, self._dropped, self._failed = [], 0, 0
        return summary

    async def aclose(self) -> None:
        """Stop what is under way."""
        await stop(self._tasks)
