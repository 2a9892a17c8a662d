"""The sample of searches that is kept: a queue that never makes anybody wait, and one task that empties it."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Any, Final

from media_gateway.contracts import SearchLog
from media_gateway.database.search_log import SearchLogTable
from media_gateway.errors import MediaGatewayError
from media_gateway.models import LoggedSearch

_log = logging.getLogger(__name__)

MOST_WAITING: Final = 1_000
"""Searches that wait to be written at most: 4 MB at 768 numbers, and 10 s of a sample of 100 a second."""
_BATCH: Final = 500
_TELLING_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class LogRules:
    """What is kept: a *share* of the searches, with or without their text, for *days*, and *most_rows* at most."""

    share: float
    keep_text: bool
    days: int
    most_rows: int


@dataclass(frozen=True, kw_only=True)
class LogPace:
    """Seconds: *linger* gathers a batch, *rest* follows a failure, *tidy* lies between two deletions of what is old.

    *closing* is the most that is spent on what waits at the end.
    """

    linger: float = 1.0
    rest: float = 5.0
    tidy: float = 600.0
    closing: float = 2.0


_PACE: Final = LogPace()


class SampledSearchLog(SearchLog):
    """A `SearchLog` on the *table*, by *rules*; to be used from one event loop.

    What cannot be written is dropped and counted, and told of once a minute. While the table cannot be reached the
    queue fills; what comes when it is full is dropped. Writing goes on by itself when the table is back.
    """

    def __init__(
        self,
        table: SearchLogTable,
        rules: LogRules,
        *,
        pace: LogPace = _PACE,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._table = table
        self._rules = rules
        self._pace = pace
        self._draw = draw
        self._waiting: deque[LoggedSearch] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._logged = self._dropped = self._failures = 0
        self._tidy_at = self._tell_at = 0.0

    def wants(self) -> bool:
        """Return whether the next search is in the sample."""
        return self._draw() < self._rules.share

    def add(self, search: LoggedSearch) -> None:
        """Take *search* to be written soon, without its text unless that is kept; when the queue is full it is dropped."""
        if self._closing.is_set() or len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(search if self._rules.keep_text else replace(search, text=None))
        if self._task is None or self._task.done():
            # In a context of its own: it outlives the search that happens to start it.
            self._task = asyncio.get_running_loop().create_task(self._write_all(), context=Context())

    def measures(self) -> dict[str, Any]:
        """Return the share, and how many searches were logged, were dropped and are waiting in this process.

        *failures* counts the batches and deletions that the server refused or did not answer.
        """
        return {
            "share": self._rules.share,
            "logged": self._logged,
            "dropped": self._dropped,
            "waiting": len(self._waiting),
            "failures": self._failures,
        }

    async def aclose(self) -> None:
        """Write what waits, for two seconds at most, and drop the rest; closing twice does no harm."""
        self._closing.set()
        task = self._task
        if task is not None and not task.done():
            _, late = await asyncio.wait([task], timeout=self._pace.closing)
            if late:
                task.cancel()
                await asyncio.wait([task])
        self._drop_waiting()

    async def _write_all(self) -> None:
        """Write batches until nothing waits; on closing, until one fails."""
        await self._pause(self._pace.linger)
        while self._waiting:
            count = min(_BATCH, len(self._waiting))
            if not await self._attempt(self._write(count)):
                if self._closing.is_set():
                    return
                await self._pause(self._pace.rest)
            elif time.monotonic() >= self._tidy_at and not self._closing.is_set():
                self._tidy_at = time.monotonic() + self._pace.tidy
                await self._attempt(self._table.tidy(days=self._rules.days, most_rows=self._rules.most_rows))
            await self._pause(self._pace.linger)

    async def _write(self, count: int) -> None:
        searches = [self._waiting.popleft() for _ in range(count)]
        rows: list[tuple[Any, ...]] = []
        for search in searches:
            try:
                rows.append(self._table.row(search))
            except MediaGatewayError as error:
                self._note_failure(error)
        self._dropped += count
        if rows:
            await self._table.write(rows)
            self._logged += len(rows)
            self._dropped -= len(rows)

    async def _attempt(self, work: Awaitable[Any]) -> bool:
        try:
            await work
        except Exception as error:  # noqa: BLE001  whatever it is, no searcher must ever hear of it
            self._note_failure(error)
            return False
        return True

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        if time.monotonic() >= self._tell_at:
            self._tell_at = time.monotonic() + _TELLING_SECONDS
            _log.warning(
                "searches cannot be logged, and go on without it (%d dropped so far): %s", self._dropped, error
            )

    async def _pause(self, seconds: float) -> None:
        """Wait, though not when closing."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return

    def _drop_waiting(self) -> None:
        self._dropped += len(self._waiting)
        self._waiting.clear()
