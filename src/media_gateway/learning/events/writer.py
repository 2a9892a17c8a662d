"""Events on their way to the table, off the path of whoever has them."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from media_gateway.database.batch_writer import BatchWriter, Pace
from media_gateway.errors import InvalidInputError
from media_gateway.learning.events.checking import checked_event
from media_gateway.learning.events.table import EventTable
from media_gateway.models import WatchEvent

MOST_WAITING: Final = 20_000
"""Events that wait to be written at most: some 20 MB, and a minute of an outage at 300 a second."""
_MONTH_SECONDS: Final = 31 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class EventPace(Pace):
    """The pace of events, which are learned from a moment later."""

    linger: float = 0.05
    rest: float = 1.0
    tidy: float = 3_600.0
    closing: float = 3.0


_PACE: Final = EventPace()


class EventWriter(BatchWriter[WatchEvent]):
    """Writes events to *table*, off the path of whoever has them; to be used from one event loop.

    While the table cannot be reached events wait and are tried again, which is safe since each has its id; what comes
    when the queue is full is dropped and counted, and so is what the table refuses. *days* is how long events are kept,
    None for ever: months that are older are dropped as long as somebody writes.
    """

    def __init__(self, table: EventTable, *, days: int | None = None, pace: EventPace = _PACE) -> None:
        super().__init__(most=MOST_WAITING, pace=pace, complaint="events cannot be written and wait")
        self._table = table
        self._days = days
        self._repeated = 0
        self._written: Counter[str] = Counter()

    def add(self, events: Iterable[WatchEvent]) -> int:
        """Take *events* to be written soon, and return how many were taken: those beyond a full queue are dropped.

        Raises what `checked_event` raises, and then takes none of them.
        """
        return self._put([checked_event(event) for event in events])

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

    async def _write_batch(self, batch: list[WatchEvent]) -> None:
        """Write *batch*, whose events leave the queue only when they are written; what is refused is dropped alone."""
        try:
            await self._write(batch)
        except InvalidInputError as error:
            self._note_failure(error)
            for event in batch:
                await self._write_or_drop(event)

    async def _write_or_drop(self, event: WatchEvent) -> None:
        try:
            await self._write([event])
        except InvalidInputError:
            self._take(1)
            self._dropped += 1

    async def _write(self, events: list[WatchEvent]) -> None:
        fresh = await self._table.write(events)
        self._take(len(events))
        self._repeated += len(events) - fresh
        self._written.update(event.action for event in events)

    async def _tidy(self) -> None:
        """Make the next month's partition before it is needed, and drop months that are too old."""
        await self._table.make_partitions(time.time(), time.time() + _MONTH_SECONDS)
        if self._days is not None:
            await self._table.forget(datetime.now(UTC) - timedelta(days=self._days))
