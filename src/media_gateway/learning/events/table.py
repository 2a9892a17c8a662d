"""The table of events: written in batches, each event once; read by user and by whoever learns."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from psycopg import AsyncConnection, errors

from media_gateway.database.faults import faults_translated
from media_gateway.json_values import dump
from media_gateway.learning.events.checking import checked_event
from media_gateway.learning.events.ids import time_of
from media_gateway.models import WatchEvent
from media_gateway.validation import checked_key

Connection: TypeAlias = AsyncConnection[Any]
Lend: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]

ROWS_A_STATEMENT: Final = 1_000
_PAGE: Final = 1_000

_COLUMNS: Final = "id, kind, user_id, key, completion, rating, rank, source, model_version, list_id, context"
# One statement writes the event and that it waits to be learned, so neither is there without the other. Clicks and exposures
# teach nothing of records; they are measured where they lie.
_WRITE: Final = """
WITH fresh AS (
    INSERT INTO user_events (id, kind, user_id, key, completion, rating, rank, source, model_version, list_id, context)
    SELECT * FROM unnest(
        %(id)s::uuid[], %(kind)s::text[], %(user)s::text[], %(key)s::text[], %(completion)s::real[], %(rating)s::real[],
        %(rank)s::integer[], %(source)s::text[], %(version)s::bigint[], %(list)s::uuid[], %(context)s::jsonb[]
    )
    ON CONFLICT (id) DO NOTHING
    RETURNING id, kind
), waiting AS (
    INSERT INTO user_events_waiting (id) SELECT id FROM fresh WHERE kind IN ('watch', 'rating', 'dismiss')
)
SELECT count(*) FROM fresh
"""
_PARTITIONS: Final = "SELECT user_events_partition(at) FROM unnest(%s::timestamptz[]) AS at"
_OF_USER: Final = f"""
SELECT {_COLUMNS} FROM user_events WHERE user_id = %(user)s AND id > %(after)s ORDER BY id LIMIT %(limit)s
"""  # noqa: S608  names of columns of ours
_TAKEN: Final = f"SELECT {_COLUMNS} FROM user_events WHERE id = ANY(%s) ORDER BY id"  # noqa: S608
_COUNTS: Final = """
SELECT count(*), count(DISTINCT user_id), min(id::text)::uuid, max(id::text)::uuid,
    (SELECT count(*) FROM user_events_waiting),
    (SELECT count(*) FROM pg_inherits WHERE inhparent = 'user_events'::regclass)
FROM user_events
"""
_KINDS: Final = "SELECT kind, count(*) FROM user_events GROUP BY kind ORDER BY kind"


@dataclass(frozen=True, kw_only=True)
class EventCounts:
    """What the log holds: *events* of *users* between two times (Unix seconds, None in an empty log), by *kinds*.

    *waiting* of them nothing has learned from yet; they lie in so many *months*.
    """

    events: int
    users: int
    first: float | None
    last: float | None
    waiting: int
    months: int
    kinds: dict[str, int]


class EventTable:
    """Reads and writes `user_events` on connections that *lend* gives; messages call it *server*.

    Every method raises StoreUnavailableError, SchemaError and what else `faults_translated` gives when the database
    cannot be reached, lacks the table, or does not allow it.
    """

    def __init__(self, lend: Lend, *, server: str) -> None:
        self._lend = lend
        self._server = server

    @property
    def server(self) -> str:
        """How messages call the server."""
        return self._server

    async def write(self, events: Sequence[WatchEvent]) -> int:
        """Write *events* and return how many of them were not there; a thousand are one transaction.

        Repeating it after an error, or a kill, writes what is missing. Raises what `checked_event` raises, before
        anything is written.
        """
        checked = sorted((checked_event(event) for event in events), key=_id_of)
        written = 0
        with faults_translated(self._server):
            async with self._lend() as connection:
                for start in range(0, len(checked), ROWS_A_STATEMENT):
                    written += await _write(connection, checked[start : start + ROWS_A_STATEMENT])
        return written

    async def of_user(self, user: str) -> AsyncGenerator[list[WatchEvent]]:
        """Yield all events of *user* in the order of their times, a thousand at a time."""
        after = UUID(int=0)
        values = {"user": checked_key(user, name="user"), "limit": _PAGE}
        while True:
            with faults_translated(self._server):
                async with self._lend() as connection:
                    cursor = await connection.execute(_OF_USER, {**values, "after": after}, binary=True)
                    rows = await cursor.fetchall()
            if rows:
                yield [event_of(row) for row in rows]
                after = rows[-1][0]
            if len(rows) < _PAGE:
                return

    async def counts(self) -> EventCounts:
        """Return how much there is; this reads the whole log."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                row = await (await connection.execute(_COUNTS)).fetchone()
                kinds = await (await connection.execute(_KINDS)).fetchall()
        events, users, first, last, waiting, months = row or (0, 0, None, None, 0, 0)
        return EventCounts(
            events=events,
            users=users,
            first=None if first is None else time_of(first),
            last=None if last is None else time_of(last),
            waiting=waiting,
            months=months,
            kinds=dict(kinds),
        )

    async def make_partitions(self, *times: float) -> int:
        """Make the partitions of the months of *times*, Unix seconds, where there are none; return how many were made."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                return await _make_partitions(connection, times)

    async def forget(self, before: datetime) -> int:
        """Drop the months that ended before *before* and that all was learned from; return how many there were."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                row = await (await connection.execute("SELECT user_events_forget(%s)", [before])).fetchone()
                return 0 if row is None else row[0]


async def taken_events(connection: Connection, ids: Sequence[UUID]) -> list[WatchEvent]:
    """Return the events of *ids* in the order of their times; ids that were forgotten or erased give none."""
    cursor = await connection.execute(_TAKEN, [list(ids)], binary=True)
    return [event_of(row) for row in await cursor.fetchall()]


def event_of(row: Sequence[Any]) -> WatchEvent:
    """Return the event of a *row* of all columns."""
    event_id, kind, user, key, completion, rating, rank, source, version, list_id, context = row
    return WatchEvent(
        user=user,
        key=key,
        time=time_of(event_id),
        action=kind,
        completion=completion,
        rating=rating,
        id=event_id,
        rank=rank,
        source=source,
        version=version,
        list_id=list_id,
        context=context,
    )


async def _write(connection: Connection, events: Sequence[WatchEvent]) -> int:
    values = {
        "id": [event.id for event in events],
        "kind": [event.action for event in events],
        "user": [event.user for event in events],
        "key": [event.key for event in events],
        "completion": [event.completion for event in events],
        "rating": [event.rating for event in events],
        "rank": [event.rank for event in events],
        "source": [event.source for event in events],
        "version": [event.version for event in events],
        "list": [event.list_id for event in events],
        "context": [None if event.context is None else dump(dict(event.context)).decode() for event in events],
    }
    try:
        return await _written(connection, values)
    except errors.CheckViolation as error:
        if "no partition" not in str(error):
            raise
    await _make_partitions(connection, [event.time for event in events])
    return await _written(connection, values)


async def _written(connection: Connection, values: dict[str, Any]) -> int:
    (count,) = await (await connection.execute(_WRITE, values)).fetchone() or (0,)
    return count


async def _make_partitions(connection: Connection, times: Sequence[float]) -> int:
    moments = (datetime.fromtimestamp(time, UTC) for time in times)
    months = sorted({moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0) for moment in moments})
    made = 0
    for month in months:
        # One transaction each: the lock on the table is held for one month's making only.
        row = await (await connection.execute(_PARTITIONS, [[month]])).fetchone()
        made += 0 if row is None else row[0]
    return made


def _id_of(event: WatchEvent) -> int:
    return 0 if event.id is None else event.id.int
