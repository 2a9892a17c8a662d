"""The learner: takes events that wait, in the order of their times, and learns from them, each exactly once.

Taking an event off the waiting list and changing what is learned from it are one transaction. A learner that is killed
leaves either both or neither, so no event is lost and none counts twice.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

from media_gateway.learning.events.ids import last_id
from media_gateway.learning.events.table import taken_events
from media_gateway.learning.postgres.changing import Change
from media_gateway.learning.postgres.interests import PostgresInterests
from media_gateway.learning.preferences import PreferenceTable
from media_gateway.learning.versions import decide, roll_back_when_clicks_fall

_log = logging.getLogger(__name__)

BATCH: Final = 100
_MOST: Final = 1_000
"""Events of one transaction, where many have one time."""
_FIRST_REFRESH: Final = 500
_REFRESH_SHARE: Final = 0.2
"""All vectors are made anew when so many more likes are known than the last time, and not before the first 500."""
_LOOK_SECONDS: Final = 1.0
_KNOW_SECONDS: Final = 60.0
"""Between two looks for new records and at clicks,"""
_KNOW_SHARE: Final = 50.0
"""but so many times as long as that takes: it compares all records with those that are known."""

_END: Final = "SELECT id FROM user_events_waiting ORDER BY id OFFSET %s LIMIT 1"
_TAKE_ALL: Final = """
DELETE FROM user_events_waiting WHERE id IN (SELECT id FROM user_events_waiting ORDER BY id LIMIT %s) RETURNING id
"""
_TAKE: Final = """
DELETE FROM user_events_waiting
WHERE id IN (SELECT id FROM user_events_waiting WHERE id <= %s ORDER BY id LIMIT %s) RETURNING id
"""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a run of the learner did: *events* it learned from, and the *likes* among them that were new.

    *passed_over* events were of records that the collection lacks. It refreshed all vectors so many times.
    """

    events: int
    likes: int
    passed_over: int
    refreshes: int
    seconds: float


class Learner:
    """Learns from what waits, with *interests* and *preferences* on the same server."""

    def __init__(self, interests: PostgresInterests, preferences: PreferenceTable) -> None:
        self._interests = interests
        self._preferences = preferences
        self._events = self._likes = self._passed_over = self._refreshes = 0
        self._began = time.monotonic()

    async def run(self, *, on_progress: Callable[[Learned], None] | None = None) -> Learned:
        """Learn until nothing waits, and return what this run did; *on_progress* hears after each batch.

        Records that are new in the collection become known first.
        """
        self._events = self._likes = self._passed_over = self._refreshes = 0
        self._began = time.monotonic()
        await self._interests.know_all()
        while await self.step():
            if on_progress is not None:
                on_progress(self.done())
        await self.look_at_clicks()
        return self.done()

    async def follow(self, *, on_progress: Callable[[Learned], None] | None = None) -> None:
        """Learn from what waits and from what comes, until it is cancelled."""
        look_again_at = 0.0
        while True:
            began = time.monotonic()
            if began >= look_again_at:
                await self._interests.know_all()
                await self.look_at_clicks()
                ended = time.monotonic()
                look_again_at = ended + max(_KNOW_SECONDS, _KNOW_SHARE * (ended - began))
            if await self.step():
                if on_progress is not None:
                    on_progress(self.done())
            else:
                await asyncio.sleep(_LOOK_SECONDS)

    async def step(self) -> bool:
        """Learn from the next batch, and refresh where it is due; return whether there was one."""
        async with self._interests.changes.change() as change:
            ids = await _taken(change.connection)
            if not ids:
                change.is_void = True
                return False
            await self._learn(change, ids)
        await self._refresh_when_due()
        return True

    def done(self) -> Learned:
        """Return what the latest run did so far."""
        return Learned(
            events=self._events,
            likes=self._likes,
            passed_over=self._passed_over,
            refreshes=self._refreshes,
            seconds=time.monotonic() - self._began,
        )

    async def _learn(self, change: Change, ids: Sequence[UUID]) -> None:
        events = await taken_events(change.connection, ids)
        await self._preferences.move(change.connection, events)
        applied = await self._interests.apply_within(change, events)
        decision = await decide(change)
        if decision is not None:
            _log.info("weights of recommendations: %s", decision)
        self._events += applied.events
        self._likes += applied.likes
        self._passed_over += applied.passed_over

    async def look_at_clicks(self) -> bool:
        """Put the former weights into use again where the current ones are clicked less; return whether that was so."""
        async with self._interests.changes.change() as change:
            went_back = await roll_back_when_clicks_fall(change)
            change.is_void = not went_back
        if went_back:
            _log.warning("the weights of recommendations were rolled back: what they showed was clicked less")
        return went_back

    async def _refresh_when_due(self) -> None:
        state = await self._interests.state()
        more = state.likes - state.refreshed_likes
        # Where a user was erased the vectors of the last time, made of that user's likes too, must not stay.
        has_erased = state.refreshed_at is not None and state.refreshed_likes == 0 < state.likes
        if has_erased or more >= max(_FIRST_REFRESH, _REFRESH_SHARE * state.refreshed_likes):
            await self._interests.refresh()
            self._refreshes += 1


async def _taken(connection: AsyncConnection[Any]) -> list[UUID]:
    """Take the next events off the list: a hundred, and what has the time of the last of them."""
    end = await (await connection.execute(_END, [BATCH - 1])).fetchone()
    if end is None:
        cursor = await connection.execute(_TAKE_ALL, [BATCH])
    else:
        cursor = await connection.execute(_TAKE, [last_id(end[0]), _MOST])
    return sorted(row[0] for row in await cursor.fetchall())
