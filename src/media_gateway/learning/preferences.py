"""The preference profile of each user: a vector that events move, how sure it is, and how much each genre is liked.

The formulae are those of `preference_math`. The recommender does not rank by it (docs/learning.md has the figures); it is
kept as a feature, and begins the recommendations of those who like nothing yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, LiteralString

import numpy as np
from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.faults import faults_translated
from media_gateway.database.statements import filled
from media_gateway.json_values import dump
from media_gateway.learning.events.table import Lend
from media_gateway.models import UserPreferences, Vector, WatchEvent
from media_gateway.preference_math import (
    FIRST_AFFINITY,
    FIRST_CONFIDENCE,
    learning_rate,
    moved_affinity,
    moved_confidence,
    moved_preference,
    watch_signal,
)
from media_gateway.validation import checked_key

_RATED: Final = 1.0
"""Who rates a title without saying how much was watched counts as having seen it."""
_PROFILES: Final = """
SELECT p.user_id, p.preference_vector, p.model, p.confidence, p.genre_affinities, p.interactions, p.updated_at
FROM user_preference_vectors AS p JOIN content_collection AS c ON c.model = p.model
    AND c.dimension = vector_dims(p.preference_vector)
WHERE p.user_id = ANY(%s)
"""
_CONTENT: Final = "SELECT id, vector, genre_ids FROM content_vectors WHERE id = ANY(%s)"
_AGAIN: Final = """
SELECT u.user_id, i.key FROM unnest(%s::text[], %s::text[]) AS given (user_id, key)
    JOIN interest_users AS u ON u.user_id = given.user_id JOIN interest_items AS i ON i.key = given.key
    JOIN interest_seen AS s ON s.user_number = u.number AND s.item = i.number
"""
_SAVE: Final = """
INSERT INTO user_preference_vectors
    (user_id, preference_vector, model, confidence, genre_affinities, interactions, updated_at)
SELECT given.user_id, given.vector, c.model, given.confidence, given.affinities, given.interactions, given.updated_at
FROM unnest(%s::text[], %b::{{type}}[], %s::float8[], %s::jsonb[], %s::bigint[], %s::timestamptz[])
    AS given (user_id, vector, confidence, affinities, interactions, updated_at), content_collection AS c
ON CONFLICT (user_id) DO UPDATE SET preference_vector = excluded.preference_vector, model = excluded.model,
    confidence = excluded.confidence, genre_affinities = excluded.genre_affinities,
    interactions = excluded.interactions, updated_at = excluded.updated_at
"""


@dataclass(kw_only=True)
class _Profile:
    """A profile on its way through a batch."""

    vector: Vector | None = None
    confidence: float = FIRST_CONFIDENCE
    affinities: dict[str, float] = field(default_factory=dict[str, float])
    interactions: int = 0
    time: float = 0.0


class PreferenceTable:
    """Reads and moves the rows of `user_preference_vectors`."""

    def __init__(self, lend: Lend, *, server: str, engine: Engine) -> None:
        self._lend = lend
        self._server = server
        self._save: LiteralString = filled(_SAVE, {"type": engine.vector_type})

    async def get(self, user: str) -> UserPreferences | None:
        """Return the profile of *user*, or None where there is none of the collection's model."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                cursor = await connection.execute(_PROFILES, [[checked_key(user, name="user")]], binary=True)
                row = await cursor.fetchone()
        if row is None:
            return None
        name, vector, model, confidence, affinities, interactions, updated_at = row
        return UserPreferences(
            user=name,
            vector=vector,
            model=model,
            confidence=confidence,
            genre_affinities=affinities,
            interactions=interactions,
            updated_at=updated_at,
        )

    async def move(self, connection: AsyncConnection[Any], events: Sequence[WatchEvent]) -> None:
        """Move the profiles by *events*, in their order, within the caller's transaction.

        Watches, ratings and dismissals count; those of records that the collection lacks, or whose vector is zero, do not.
        """
        telling = [event for event in events if event.action in {"watch", "rating", "dismiss"}]
        cursor = await connection.execute(_CONTENT, [sorted({event.key for event in telling})], binary=True)
        contents: dict[str, tuple[Vector, list[int]]] = {
            key: (vector, genres or []) for key, vector, genres in await cursor.fetchall()
        }
        counted = [event for event in telling if event.key in contents]
        if not counted:
            return
        profiles = await self._profiles(connection, sorted({event.user for event in counted}))
        again = await _seen_before(connection, counted)
        for event in counted:
            vector, genres = contents[event.key]
            rewatched = (event.user, event.key) in again
            again.add((event.user, event.key))
            _move(profiles[event.user], event, vector, genres, rewatched=rewatched)
        await self._write(connection, {name: row for name, row in profiles.items() if row.vector is not None})

    async def _profiles(self, connection: AsyncConnection[Any], users: Sequence[str]) -> dict[str, _Profile]:
        profiles = {user: _Profile() for user in users}
        cursor = await connection.execute(_PROFILES, [list(users)], binary=True)
        for user, vector, _, confidence, affinities, interactions, updated_at in await cursor.fetchall():
            profiles[user] = _Profile(
                vector=vector,
                confidence=confidence,
                affinities=dict(affinities),
                interactions=interactions,
                time=updated_at.timestamp(),
            )
        return profiles

    async def _write(self, connection: AsyncConnection[Any], profiles: Mapping[str, _Profile]) -> None:
        rows = sorted(profiles.items())
        values = [
            [user for user, _ in rows],
            [profile.vector for _, profile in rows],
            [profile.confidence for _, profile in rows],
            [dump(dict(profile.affinities)).decode() for _, profile in rows],
            [profile.interactions for _, profile in rows],
            [datetime.fromtimestamp(profile.time, UTC) for _, profile in rows],
        ]
        if rows:
            await connection.execute(self._save, values)


def _move(profile: _Profile, event: WatchEvent, vector: Vector, genres: Sequence[int], *, rewatched: bool) -> None:
    signal = _signal(event, rewatched=rewatched)
    # A dismissal tells what is not wanted, and the formula would move toward it all the same.
    if event.action != "dismiss" and (profile.vector is not None or np.any(vector)):
        rate = float(learning_rate(profile.confidence, signal))
        profile.vector = moved_preference(profile.vector, vector, rate)
    for genre in genres:
        name = str(genre)
        profile.affinities[name] = float(moved_affinity(profile.affinities.get(name, FIRST_AFFINITY), signal))
    profile.confidence = float(moved_confidence(profile.confidence, signal))
    profile.interactions += 1
    profile.time = max(profile.time, event.time)


def _signal(event: WatchEvent, *, rewatched: bool) -> float:
    """Return how strongly *event* speaks; a dismissal says nothing good."""
    if event.action == "dismiss":
        return 0.0
    ratio = (event.context or {}).get("duration_ratio")
    completion = event.completion if event.completion is not None else _RATED
    return watch_signal(
        completion,
        event.rating,
        rewatched=rewatched,
        duration_ratio=float(ratio) if isinstance(ratio, int | float) else 0.0,
    )


async def _seen_before(connection: AsyncConnection[Any], events: Sequence[WatchEvent]) -> set[tuple[str, str]]:
    """Return the pairs of user and key among *events* of which there were earlier ones."""
    pairs = sorted({(event.user, event.key) for event in events})
    cursor = await connection.execute(_AGAIN, [[user for user, _ in pairs], [key for _, key in pairs]])
    return {(user, key) for user, key in await cursor.fetchall()}
