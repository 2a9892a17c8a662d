"""All that is kept of one user: to be handed out, and to be erased with what was derived from it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import numpy as np

from media_gateway.database.engine import Engine
from media_gateway.database.faults import faults_translated
from media_gateway.database.search_log import forget_searches
from media_gateway.database.statements import filled
from media_gateway.learning.events.table import EventTable, Lend
from media_gateway.learning.interests.arrays import Ids, ids
from media_gateway.learning.postgres.applying import write_counts
from media_gateway.learning.postgres.changing import Change
from media_gateway.learning.postgres.interests import PostgresInterests
from media_gateway.learning.postgres.packing import integers
from media_gateway.learning.postgres.pairs import new_pairs, summed
from media_gateway.learning.preferences import PreferenceTable
from media_gateway.models import UserPreferences, WatchEvent
from media_gateway.validation import checked_key

_USER: Final = "SELECT number FROM interest_users WHERE user_id = %s"
_LIKED: Final = "SELECT item FROM interest_seen WHERE user_number = %s AND place IS NOT NULL ORDER BY place"
_LIKED_KEYS: Final = """
SELECT i.key FROM interest_users AS u JOIN interest_seen AS s ON s.user_number = u.number
    JOIN interest_items AS i ON i.number = s.item
WHERE u.user_id = %s AND s.place IS NOT NULL ORDER BY s.place
"""
_SEARCHES: Final = """
SELECT logged_at, kind, query_text, k, result_keys FROM vector_search_logs WHERE user_id = %s ORDER BY id
"""
_NO_PAIRS: Final = """
DELETE FROM interest_pairs AS p USING unnest(%s::integer[], %s::integer[], %s::integer[]) AS given (a, b, users)
WHERE p.a = given.a AND p.b = given.b AND p.users <= given.users
"""
_FEWER_PAIRS: Final = """
UPDATE interest_pairs AS p SET users = p.users - given.users
FROM unnest(%s::integer[], %s::integer[], %s::integer[]) AS given (a, b, users) WHERE p.a = given.a AND p.b = given.b
"""
# What is left of an item's likes is summed anew: taking a part out of a logarithm would lose digits.
_COUNTS: Final = """
SELECT i.number, count(s.item),
    max(s.liked_time) / %(lasting)s
        + ln(sum(power(2::float8, greatest((s.liked_time - m.latest) / %(lasting)s, -1000)))) / ln(2::float8),
    max(s.liked_time) / %(recent)s
        + ln(sum(power(2::float8, greatest((s.liked_time - m.latest) / %(recent)s, -1000)))) / ln(2::float8),
    max(s.liked_time) / %(newest)s
        + ln(sum(power(2::float8, greatest((s.liked_time - m.latest) / %(newest)s, -1000)))) / ln(2::float8)
FROM interest_items AS i
    LEFT JOIN interest_seen AS s ON s.item = i.number AND s.place IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT max(liked_time) AS latest FROM interest_seen WHERE item = i.number AND place IS NOT NULL
    ) AS m ON true
WHERE i.number = ANY(%(items)s) GROUP BY i.number ORDER BY i.number
"""
_UNLEARN: Final = """
UPDATE interest_vectors AS v SET learned = NULL, shown = given.shown
FROM unnest(%s::integer[], %b::{{type}}[]) AS given (item, shown) WHERE v.item = given.item
"""
_BEGIN_AGAIN: Final = (
    "DELETE FROM interest_seen",
    "DELETE FROM interest_users",
    "DELETE FROM interest_pairs",
    "DELETE FROM interest_arrays",
    "DELETE FROM interest_items",
    "DELETE FROM user_preference_vectors",
    "UPDATE interest_versions SET state = 'retired', why = 'all was learned again' WHERE state = 'current'",
    """UPDATE interest_state SET revision = revision + 1, events = 0, passed_over = 0, likes = 0, clock = 0,
        refreshed_at = NULL, refreshed_likes = 0""",
)
_ALL_WAIT: Final = """
INSERT INTO user_events_waiting (id) SELECT id FROM user_events WHERE kind IN ('watch', 'rating', 'dismiss')
ON CONFLICT (id) DO NOTHING
"""
_ERASE: Final = (
    "DELETE FROM interest_seen WHERE user_number IN (SELECT number FROM interest_users WHERE user_id = %s)",
    "DELETE FROM interest_users WHERE user_id = %s",
)
_ERASE_PREFERENCES: Final = "DELETE FROM user_preference_vectors WHERE user_id = %s"
_ERASE_EVENTS: Final = """
WITH erased AS (DELETE FROM user_events WHERE user_id = %s RETURNING id)
SELECT (SELECT count(*) FROM erased), array_agg(id) FROM erased
"""
_ERASE_WAITING: Final = "DELETE FROM user_events_waiting WHERE id = ANY(%s)"


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What was there of a user and is no more: *events*, logged *searches*, *likes* in the counts, and a profile."""

    events: int
    searches: int
    likes: int
    had_preferences: bool


@dataclass(frozen=True, kw_only=True)
class KnownOfUser:
    """What is kept of a user beside the events: what is *liked* in order, the preference profile, logged searches."""

    liked: list[str]
    preferences: UserPreferences | None
    searches: list[dict[str, Any]]


class UserData:
    """Exports and erases on connections that *lend* gives."""

    def __init__(
        self,
        lend: Lend,
        *,
        server: str,
        engine: Engine,
        interests: PostgresInterests,
        preferences: PreferenceTable,
        events: EventTable,
    ) -> None:
        self._lend = lend
        self._server = server
        self._interests = interests
        self._preferences = preferences
        self._events = events
        self._unlearn: LiteralString = filled(_UNLEARN, {"type": engine.vector_type})

    def events(self, user: str) -> AsyncGenerator[list[WatchEvent]]:
        """Yield all events of *user* in the order of their times."""
        return self._events.of_user(user)

    async def known(self, user: str) -> KnownOfUser:
        """Return what is kept of *user* beside the events."""
        name = checked_key(user, name="user")
        profile = await self._preferences.get(name)
        with faults_translated(self._server):
            async with self._lend() as connection:
                liked = await (await connection.execute(_LIKED_KEYS, [name])).fetchall()
                searches = await (await connection.execute(_SEARCHES, [name])).fetchall()
        return KnownOfUser(
            liked=[key for (key,) in liked],
            preferences=profile,
            searches=[
                {"at": at.isoformat(), "kind": kind, "text": text, "k": k, "keys": keys}
                for at, kind, text, k, keys in searches
            ],
        )

    async def erase(self, user: str) -> Erased:
        """Erase all of *user* in one transaction: events, searches, profile, vectors, and their part of every count.

        The vectors of items that the user liked are solved anew for the counts without them. The factors of iALS, which are
        made of all likes, are without the user from the next refresh on, which is then due.
        """
        name = checked_key(user, name="user")
        async with self._interests.changes.change() as change:
            connection = change.connection
            likes = await self._take_likes_out(change, name)
            row = await (await connection.execute(_ERASE_EVENTS, [name])).fetchone() or (0, None)
            await connection.execute(_ERASE_WAITING, [row[1] or []])
            searches = await forget_searches(connection, name)
            for statement in _ERASE:
                await connection.execute(statement, [name])
            profiles = (await connection.execute(_ERASE_PREFERENCES, [name])).rowcount
            return Erased(events=row[0], searches=searches, likes=len(likes), had_preferences=profiles > 0)

    async def begin_again(self) -> int:
        """Forget all that was learned of everybody, have the whole log wait to be learned again, and return its length."""
        async with self._interests.changes.begin_again() as connection:
            for statement in _BEGIN_AGAIN:
                await connection.execute(statement)
            return (await connection.execute(_ALL_WAIT)).rowcount

    async def _take_likes_out(self, change: Change, user: str) -> Ids:
        """Take the likes of *user* out of the counts, and return the items."""
        connection = change.connection
        row = await (await connection.execute(_USER, [user])).fetchone()
        if row is None:
            return ids([])
        cursor = await connection.execute(_LIKED, [row[0]])
        liked = ids([item for (item,) in await cursor.fetchall()])
        if not len(liked):
            return liked
        a, b, users = summed(*new_pairs(ids([]), liked.tolist(), self._interests.settings.history_cap))
        given = [integers(a), integers(b), integers(users)]
        await connection.execute(_NO_PAIRS, given)
        await connection.execute(_FEWER_PAIRS, given)
        await connection.execute("DELETE FROM interest_seen WHERE user_number = %s", [row[0]])
        await self._recount(change, np.sort(liked))
        change.state.likes -= len(liked)
        # So that the next refresh is due.
        change.state.refreshed_likes = 0
        return liked

    async def _recount(self, change: Change, items: Ids) -> None:
        connection, parameters = change.connection, change.parameters
        settings, reader = self._interests.settings, self._interests.catalogue.reader
        before = await reader.items(connection, items, parameters.text_mean)
        lasting, recent, newest = settings.halflives
        values = {"lasting": lasting, "recent": recent, "newest": newest, "items": integers(items)}
        rows = await (await connection.execute(_COUNTS, values)).fetchall()
        likes = np.array([float(row[1]) for row in rows])
        heats = np.array([[-np.inf if heat is None else float(heat) for heat in row[2:]] for row in rows])
        await write_counts(connection, items, likes, heats)
        await self._interests.near.forget(connection, items)
        bridged = before.vectors.text @ parameters.bridge
        lost = likes == 0
        there, _, learned = await reader.learned(connection, items[lost])
        parameters.solving.replace(learned, np.zeros((0, settings.dimension)))
        parameters.solving.count -= len(there)
        shown = bridged[lost].astype(np.float32)
        parameters.behaviour.replace(before.vectors.behaviour[lost], shown.astype(np.float64))
        await connection.execute(self._unlearn, [integers(items[lost]), list(shown)])
        kept = items[~lost]
        if len(kept):
            await self._interests.learner.solve(
                connection,
                parameters,
                changed=kept,
                likes=likes[~lost],
                bridged=bridged[~lost],
                shown=before.of(kept),
            )
        await self._interests.near.follow(connection, len(change.items))
