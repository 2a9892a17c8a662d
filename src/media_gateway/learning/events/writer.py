"""Events on their way to the table: a queue that never makes anybody wait, and one task that empties it."""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from media_gateway.errors import MediaGatewayError, StoreError
from media_gateway.learning.events.checking import checked_event
from media_gateway.learning.events.table import EventTable
from media_gateway.models import WatchEvent

_log = logging.getLogger(__name__)

MOST_WAITING: Final = 20_000
"""Events that wait to be written at most: some 20 MB, and a minute of an outage at 300 a second."""
_BATCH: Final = 500
_TELLING_SECONDS: Final = 60.0
_MONTH_SECONDS: Final = 31 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class EventPace:
    """Seconds: *linger* gathers a batch, *rest* follows a failure, *tidy* lies between two looks at the months.

    *closing* is the most that is spent on what waits at the end.
    """

    linger: float = 0.05
    rest: float = 1.0
    tidy: float = 3_600.0
    closing: float = 3.0


_PACE: Final = EventPace()


class EventWriter:
    """Writes events to *table*, off the path of whoever has them; to be used from one event loop.

    While the table cannot be reached events wait and are tried again, which is safe since each has its id; what comes
    when the queue is full is dropped and counted. *days* is how long events are kept, None for ever: months that are older are
    dropped as long as somebody writes.
    """

    def __init__(self, table: EventTable, *, days: int | None = None, pace: EventPace = _PACE) -> None:
        self._table = table
        self._days = days
        self._pace = pace
        self._waiting: deque[WatchEvent] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._dropped = self._failures = self._repeated = 0
        self._written: Counter[str] = Counter()
        self._tidy_at = self._tell_at = 0.0

    def add(self, events: Iterable[WatchEvent]) -> int:
        """Take *events* to be written soon, and return how many were taken: those beyond a full queue are dropped.

        Raises what `checked_event` raises, and then takes none of them.
        """
        checked = [checked_event(event) for event in events]
        room = 0 if self._closing.is_set() else MOST_WAITING - len(self._waiting)
        taken = checked[: max(room, 0)]
        self._dropped += len(checked) - len(taken)
        self._waiting.extend(taken)
        if taken and (self._task is None or self._task.done()):
            # In a context of its own: it outlives the request that happens to start it.
            self._task = asyncio.get_running_loop().create_task(self._write_all(), context=Context())
        return len(taken)

    def measures(self) -> dict[str, Any]:
        """Return how many events were written by kind, were there already, were dropped and wait, in this process.

        *failures* counts the batches that the server refused or did not answer.
        """
        return {
            "written": dict(self._written),
            "repeated": self._repeated,
            "dropped": self._dropped,
            "waiting": len(self._waiting),
            "failures": self._failures,
        }

    async def aclose(self) -> None:
        """Write what waits, for three seconds at most, and drop the rest; closing twice does no harm."""
        self._closing.set()
        task = self._task
        if task is not None and not task.done():
            _, late = await asyncio.wait([task], timeout=self._pace.closing)
            if late:
                task.cancel()
                await asyncio.wait([task])
        self._dropped += len(self._waiting)
        self._waiting.clear()

    async def _write_all(self) -> None:
        """Write batches until nothing waits; on closing, until one fails."""
        await self._pause(self._pace.linger)
        while self._waiting:
            if not await self._write_batch():
                if self._closing.is_set():
                    return
                await self._pause(self._pace.rest)
            elif time.monotonic() >= self._tidy_at and not self._closing.is_set():
                await self._tidy()

    async def _write_batch(self) -> bool:
        """Write the next events, which leave the queue only when they are written; False when they stay."""
        batch = [self._waiting[number] for number in range(min(_BATCH, len(self._waiting)))]
        try:
            fresh = await self._table.write(batch)
        except StoreError as error:
            self._note_failure(error)
            return False
        except MediaGatewayError as error:
            self._note_failure(error)
            fresh = await self._write_singly(batch)
        except Exception as error:  # noqa: BLE001  whatever it is, it must not end the writing of all that follows
            self._note_failure(error)
            return False
        for _ in batch:
            self._waiting.popleft()
        self._repeated += len(batch) - fresh
        self._written.update(event.action for event in batch)
        return True

    async def _write_singly(self, batch: Sequence[WatchEvent]) -> int:
        """Write what can be written of a batch that was refused, and drop what was refused."""
        fresh = 0
        for event in batch:
            try:
                fresh += await self._table.write([event])
            except MediaGatewayError:
                self._dropped += 1
        return fresh

    async def _tidy(self) -> None:
        """Make the next month's partition before it is needed, and drop months that are too old."""
        self._tidy_at = time.monotonic() + self._pace.tidy
        try:
            await self._table.make_partitions(time.time(), time.time() + _MONTH_SECONDS)
            if self._days is not None:
                await self._table.forget(datetime.now(UTC) - timedelta(days=self._days))
        except MediaGatewayError as error:
            self._note_failure(error)

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        if time.monotonic() >= self._tell_at:
            self._tell_at = time.monotonic() + _TELLING_SECONDS
            _log.warning(
                "events cannot be written and wait (%d of them, %d dropped so far): %s",
                len(self._waiting),
                self._dropped,
                error,
            )

    async def _pause(self, seconds: float) -> None:
        """Wait, though not when closing."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return
