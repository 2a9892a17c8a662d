"""The log of events: each once, by months, off the path of whoever has them, and forgotten when asked."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from media_gateway.errors import InvalidInputError, InvalidRequestError, StoreUnavailableError
from media_gateway.learning.events import EventPace, EventTable, EventWriter, new_id, time_of
from media_gateway.learning.events.writer import MOST_WAITING
from media_gateway.models import WatchEvent
from media_gateway.stores.postgres import PostgresStore
from tests.learning import SPACE, ratings, rows_of
from tests.postgres import TestServer

pytestmark = pytest.mark.anyio
QUICK = EventPace(linger=0.01, rest=0.05)


@pytest.fixture
async def store(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    store = await postgres.open_store(SPACE)
    yield store
    await store.aclose()


def table_of(store: PostgresStore, lend: Callable[[], AbstractAsyncContextManager[Any]] | None = None) -> EventTable:
    return EventTable(lend or store.serving_connection, server="here")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_an_event_counts_once_however_often_it_is_written(store: PostgresStore) -> None:
    table = table_of(store)
    events = ratings(count=150)
    assert await table.write(events) == 150
    assert await table.write(events) == 0
    assert await table.write([*events[:3], replace(events[0], rating=1.0)]) == 1
    named = WatchEvent(user="ann", key="movie-1", time=1.25e9, completion=0.5, id=new_id(1.25e9))
    assert [await table.write([named]), await table.write([named, named])] == [1, 0]
    assert await rows_of(store, "SELECT count(*) FROM user_events_waiting") == [(152,)]


async def test_an_event_comes_back_as_it_was(store: PostgresStore) -> None:
    given = WatchEvent(
        user="ann/Ö",
        key="movie-1",
        time=1_700_000_000.123,
        action="exposure",
        rank=3,
        source="behaviour",
        version=7,
        list_id=uuid4(),
        context={"page": "home", "tests": ["a", 1.5]},
    )
    await table_of(store).write([given, replace(given, action="watch", completion=0.25, rating=8.5)])
    found = [event async for page in table_of(store).of_user("ann/Ö") for event in page]
    shown, watched = sorted(found, key=lambda event: event.action)
    assert shown.id is not None
    assert time_of(shown.id) == given.time
    assert replace(shown, id=None) == given
    assert (watched.completion, watched.rating, watched.action) == (0.25, 8.5, "watch")
    moment = await rows_of(store, "SELECT user_event_time(id) FROM user_events WHERE kind = 'watch'")
    assert moment == [(datetime.fromtimestamp(given.time, UTC),)]


async def test_events_lie_in_the_months_of_their_times_which_are_made_as_they_come(store: PostgresStore) -> None:
    days = ("1997-09-20", "1997-10-01", "2024-02-29", "2024-03-01")
    times = [datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() for day in days]
    await table_of(store).write([WatchEvent(user="ann", key="movie-1", time=at, completion=1.0) for at in times])
    held = await rows_of(store, "SELECT tableoid::regclass::text, count(*) FROM user_events GROUP BY 1 ORDER BY 1")
    assert held == [(f"user_events_{day[:7].replace('-', '_')}", 1) for day in days]
    # Nothing of a month is forgotten before it was learned from.
    assert await table_of(store).forget(datetime(2024, 3, 1, tzinfo=UTC)) == 0
    await rows_of(store, "DELETE FROM user_events_waiting RETURNING id")
    assert await table_of(store).forget(datetime(2024, 3, 1, tzinfo=UTC)) == 3
    assert [time_of(row[0]) for row in await rows_of(store, "SELECT id FROM user_events")] == [times[3]]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"completion": 1.5}, "completion"),
        ({"completion": None}, "completion"),
        ({"action": "rating", "completion": None}, "rating"),
        ({"action": "like"}, "action"),
        ({"rating": 11}, "rating"),
        ({"time": -1.0}, "time"),
        ({"time": time.time() + 3600}, "time"),
        ({"time": float("nan")}, "time"),
        ({"rank": 0}, "rank"),
        ({"user": ""}, "user"),
        ({"key": "a\0b"}, "key"),
        ({"id": uuid4()}, "id"),
        ({"id": new_id(5.0)}, "id"),
        ({"context": {"long": "x" * 5000}}, "context"),
    ],
)
async def test_what_is_no_event_is_refused_with_all_that_came_with_it(
    store: PostgresStore, wrong: dict[str, Any], field: str
) -> None:
    right = WatchEvent(user="ann", key="movie-1", time=1e9, completion=1.0)
    with pytest.raises(InvalidInputError) as raised:
        await table_of(store).write([right, replace(right, **wrong)])
    assert raised.value.field == field
    assert await rows_of(store, "SELECT count(*) FROM user_events") == [(0,)]


async def test_noted_events_are_written_soon_and_wait_out_an_outage(
    store: PostgresStore, caplog: pytest.LogCaptureFixture
) -> None:
    is_away = True

    def lend() -> AbstractAsyncContextManager[Any]:
        if is_away:
            raise StoreUnavailableError("cannot reach here", server="here", reason="away")
        return store.serving_connection()

    writer = EventWriter(table_of(store, lend), pace=QUICK)
    events = ratings(count=40)
    assert writer.add(events) == 40
    await until(lambda: writer.measures()["failures"] > 1)
    assert writer.measures()["waiting"] == 40
    assert "events cannot be written and wait" in caplog.text
    is_away = False
    await until(lambda: writer.measures()["waiting"] == 0)
    assert writer.measures()["written"] == {"rating": 40}
    assert writer.add(events[:5]) == 5
    await writer.aclose()
    assert writer.measures()["repeated"] == 5
    assert await rows_of(store, "SELECT count(*) FROM user_events") == [(40,)]
    assert writer.add(events) == 0


async def test_what_the_table_refuses_is_dropped_alone_and_an_outage_meanwhile_drops_nothing(
    store: PostgresStore,
) -> None:
    refused = InvalidRequestError("refused", field="value", given=None, expected="a usable value")
    away = StoreUnavailableError("cannot reach here", server="here", reason="away")
    # The batch, its first event, the second one, the third one; after that all is well.
    outcomes: list[Exception | None] = [refused, None, refused, away]

    def lend() -> AbstractAsyncContextManager[Any]:
        outcome = outcomes.pop(0) if outcomes else None
        if outcome is not None:
            raise outcome
        return store.serving_connection()

    writer = EventWriter(table_of(store, lend), pace=QUICK)
    writer.add(ratings(count=40))
    await until(lambda: writer.measures()["waiting"] == 0)
    await writer.aclose()
    told = {"written": {"rating": 39}, "repeated": 0, "dropped": 1, "waiting": 0, "failures": 2}
    assert writer.measures() == told
    assert await rows_of(store, "SELECT count(*) FROM user_events") == [(39,)]


async def test_a_full_queue_drops_and_counts(store: PostgresStore) -> None:
    writer = EventWriter(table_of(store), pace=QUICK)
    event = WatchEvent(user="ann", key="movie-1", time=1e9, completion=1.0)
    many = [replace(event, time=1e9 + number) for number in range(500)]
    taken = sum(writer.add(many) for _ in range(MOST_WAITING // 500 + 2))
    assert (taken, writer.measures()["dropped"]) == (MOST_WAITING, 1000)
    writer._waiting.clear()
    await writer.aclose()


async def test_the_months_to_come_are_made_before_they_are_needed(store: PostgresStore) -> None:
    writer = EventWriter(table_of(store), days=400, pace=QUICK)
    old = time.time() - 500 * 86_400
    writer.add([WatchEvent(user="ann", key="movie-1", time=old, completion=1.0)])
    await until(lambda: writer.measures()["waiting"] == 0)
    await writer.aclose()
    months = await rows_of(store, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'user_events'::regclass")
    assert months[0][0] >= 3
