"""Rows on their way to a table: a queue that never makes anybody wait, and one task that empties it."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Sequence
from contextvars import Context
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Generic, TypeVar

_log = logging.getLogger(__name__)

_BATCH: Final = 500
_TELLING_SECONDS: Final = 60.0
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds: *linger* gathers a batch, *rest* follows a failure, *tidy* lies between two times that the table is tidied.

    *closing* is the most that is spent on what waits at the end.
    """

    linger: float
    rest: float
    tidy: float
    closing: float


class BatchWriter(ABC, Generic[T]):
    """Writes what waits, up to *most* of it, off the path of whoever has it; to be used from one event loop.

    What comes when the queue is full is dropped and counted. Failures are told of once a minute, as *complaint*, and
    writing goes on by itself.
    """

    def __init__(self, *, most: int, pace: Pace, complaint: str) -> None:
        self._most = most
        self._pace = pace
        self._complaint = complaint
        self._waiting: deque[T] = deque()
        self._dropped = self._failures = 0
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._tidy_at = self._tell_at = 0.0

    async def aclose(self) -> None:
        """Write what waits, for a few seconds at most, and drop the rest; closing twice does no harm."""
        self._closing.set()
        task = self._task
        if task is not None and not task.done():
            _, late = await asyncio.wait([task], timeout=self._pace.closing)
            if late:
                task.cancel()
                await asyncio.wait([task])
        self._dropped += len(self._waiting)
        self._waiting.clear()

    @abstractmethod
    async def _write_batch(self, batch: list[T]) -> None:
        """Write *batch*, which is what waits longest, and take what is done with off the queue; may raise anything."""

    @abstractmethod
    async def _tidy(self) -> None:
        """Do what the table needs now and then; may raise anything."""

    def _put(self, items: Sequence[T]) -> int:
        """Take the first of *items* for which there is room, and return how many."""
        room = 0 if self._closing.is_set() else self._most - len(self._waiting)
        taken = items[: max(room, 0)]
        self._dropped += len(items) - len(taken)
        self._waiting.extend(taken)
        if taken and (self._task is None or self._task.done()):
            # In a context of its own: it outlives the request that happens to start it.
            self._task = asyncio.get_running_loop().create_task(self._write_all(), context=Context())
        return len(taken)

    def _take(self, count: int) -> None:
        """Take the first *count* off the queue."""
        for _ in range(count):
            self._waiting.popleft()

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        if time.monotonic() >= self._tell_at:
            self._tell_at = time.monotonic() + _TELLING_SECONDS
            _log.warning(
                "%s (%d wait, %d were dropped so far): %s", self._complaint, len(self._waiting), self._dropped, error
            )

    async def _write_all(self) -> None:
        """Write batches until nothing waits; on closing, until one fails."""
        await self._pause(self._pace.linger)
        while self._waiting:
            if not await self._attempt(self._write_batch(list(islice(self._waiting, _BATCH)))):
                if self._closing.is_set():
                    return
                await self._pause(self._pace.rest)
            elif time.monotonic() >= self._tidy_at and not self._closing.is_set():
                self._tidy_at = time.monotonic() + self._pace.tidy
                await self._attempt(self._tidy())
            if len(self._waiting) < _BATCH:
                await self._pause(self._pace.linger)

    async def _attempt(self, work: Awaitable[Any]) -> bool:
        try:
            await work
        except Exception as error:  # noqa: BLE001  whatever it is, nobody who put something in must hear of it
            self._note_failure(error)
            return False
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait, though not when closing."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return
