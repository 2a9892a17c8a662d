"""The users of a batch, as they were before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

from media_gateway.models import WatchEvent

MOST_LIKES_A_DAY: Final = 300
"""Likes of a user on one day that count, more than nearly anybody has: what follows counts as seen. A flood is bounded so."""
_DAY: Final = 86_400.0

_USERS: Final = "SELECT user_id, number, first_time, likes, day, day_likes FROM interest_users WHERE user_id = ANY(%s)"
_ADD_USERS: Final = """
INSERT INTO interest_users (user_id, first_time, last_time)
SELECT * FROM unnest(%s::text[], %s::float8[], %s::float8[]) RETURNING user_id, number, first_time, likes, day, day_likes
"""


@dataclass(kw_only=True)
class User:
    """A user in a batch: the number, how many likes before it, when first, and how many likes count of the latest day."""

    number: int
    first_time: float
    likes: int
    day: int
    day_likes: int

    def may_like(self, time: float) -> bool:
        """Count a like at *time*, unless the most of its day is reached; likes of earlier days count as of the latest."""
        day = int(time // _DAY)
        if day > self.day:
            self.day, self.day_likes = day, 0
        self.day_likes += 1
        return self.day_likes <= MOST_LIKES_A_DAY


async def users_of(connection: AsyncConnection[Any], events: Sequence[WatchEvent]) -> dict[str, User]:
    """Return the users of *events* by name; those that are new are added."""
    names = sorted({event.user for event in events})
    cursor = await connection.execute(_USERS, [names], binary=True)
    rows: list[Any] = await cursor.fetchall()
    there = {row[0] for row in rows}
    missing = [name for name in names if name not in there]
    if missing:
        first = extremes(events, latest=False)
        last = extremes(events, latest=True)
        values = [missing, [first[name] for name in missing], [last[name] for name in missing]]
        cursor = await connection.execute(_ADD_USERS, values, binary=True)
        rows.extend(await cursor.fetchall())
    return {
        name: User(number=number, first_time=first, likes=likes, day=day, day_likes=day_likes)
        for name, number, first, likes, day, day_likes in rows
    }


def extremes(events: Sequence[WatchEvent], *, latest: bool) -> dict[str, float]:
    """Return each user's earliest or latest time."""
    found: dict[str, float] = {}
    for event in events:
        known = found.get(event.user, event.time)
        found[event.user] = max(known, event.time) if latest else min(known, event.time)
    return found
