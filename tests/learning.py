"""Made-up users with tastes, and what they do."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np

from media_gateway.database.engine import PGVECTOR
from media_gateway.learning.opening import LearningDesk, open_desk
from media_gateway.models import VectorSpace, WatchEvent
from media_gateway.stores.postgres import PostgresStore

SPACE = VectorSpace(model="words", dimension=32)
TASTES = 4
"""Users like the items whose number leaves the rest that is their taste."""


def taste_of(user: int) -> int:
    return user % TASTES


def ratings(users: int = 20, items: int = 60, count: int = 600, *, seed: int = 0) -> list[WatchEvent]:
    """Return ratings in the order of their times: mostly of items of the user's taste, which get 9 of 10, others 5."""
    chance = np.random.default_rng(seed)
    time = 1_000_000_000.0
    events: list[WatchEvent] = []
    for _ in range(count):
        time += float(chance.integers(0, 4_000))
        user, item = int(chance.integers(users)), int(chance.integers(items))
        if chance.random() < 0.7:
            item = min(item - item % TASTES + taste_of(user), items - 1)
        liked = item % TASTES == taste_of(user)
        events.append(
            WatchEvent(
                user=f"user-{user}", key=f"movie-{item}", time=time, action="rating", rating=9.0 if liked else 5.0
            )
        )
    return events


def desk_of(store: PostgresStore, *, is_guarded: bool = True) -> AbstractAsyncContextManager[LearningDesk]:
    return open_desk(store.endpoint.conninfo, server="here", engine=PGVECTOR, is_guarded=is_guarded)


async def rows_of(store: PostgresStore, statement: str, *values: Any) -> list[Any]:
    async with store.serving_connection() as connection:
        return await (await connection.execute(statement, list(values))).fetchall()


COUNTED = {
    "items": """
        SELECT key, likes, round(heat_lasting::numeric, 6), round(heat_recent::numeric, 6), round(heat_newest::numeric, 6)
        FROM interest_items WHERE likes > 0 ORDER BY key
    """,
    "pairs": """
        SELECT a.key, b.key, users FROM interest_pairs JOIN interest_items AS a ON a.number = interest_pairs.a
            JOIN interest_items AS b ON b.number = interest_pairs.b ORDER BY a.key, b.key
    """,
    "users": """
        SELECT user_id, u.likes, count(s.item), count(s.place) FROM interest_users AS u
            JOIN interest_seen AS s ON s.user_number = u.number GROUP BY user_id, u.likes ORDER BY user_id
    """,
    "state": "SELECT events, likes, clock FROM interest_state",
}
"""What must be the same however the events came in."""


async def counted(store: PostgresStore) -> dict[str, list[Any]]:
    return {name: await rows_of(store, statement) for name, statement in COUNTED.items()}
