"""What is known of each user's taste: one current profile a user, found by the user's id."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

from media_gateway.agentdb.context import Context
from media_gateway.agentdb.episodes import Episodes
from media_gateway.agentdb.patterns import Patterns
from media_gateway.agentdb.records import NewPattern, Pattern
from media_gateway.agentdb.single import IsIt, facts_of, named, put_one
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import blob, checked_given, checked_number, checked_text, vector_of
from media_gateway.agentdb.watching import watch_episode
from media_gateway.models import Vector, WatchEvent
from media_gateway.preference_math import (
    FIRST_AFFINITY,
    FIRST_CONFIDENCE,
    checked_share,
    learning_rate,
    moved_affinity,
    moved_confidence,
    moved_preference,
    watch_signal,
)

_PREFERENCE: Final = "user_preference"
_PAIR: Final = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Preferences:
    """What is known of a user's taste: affinities to genres and *confidence* in [0, 1], and a vector of any length."""

    user_id: str
    confidence: float = FIRST_CONFIDENCE
    genre_affinities: Mapping[str, float] = field(default_factory=dict[str, float])
    vector: Vector | None = None
    updated_at: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Profiles:
    """The profiles of an open file."""

    def __init__(self, context: Context, patterns: Patterns, episodes: Episodes) -> None:
        self._context = context
        self._patterns = patterns
        self._episodes = episodes
        self._learning = asyncio.Lock()

    async def save(self, preferences: Preferences) -> int:
        """Make *preferences* the user's one profile and return the id of its pattern; former ones go.

        Its vector may have any length; None keeps the one that is stored. Raises InvalidInputError, EmbeddingError.
        """
        user = checked_text(preferences.user_id, "user_id")
        checked_share(preferences.confidence, "confidence")
        for genre, value in preferences.genre_affinities.items():
            checked_number(value, f"the affinity to {genre}", least=0, most=1)
        now = self._context.now
        updated = preferences.updated_at if preferences.updated_at is not None else now
        pattern = NewPattern(
            task_type=_PREFERENCE,
            approach=f"User {user} preference profile",
            success_rate=preferences.confidence,
            tags=("preference", user),
            metadata={
                **preferences.metadata,
                "userId": user,
                "genreAffinities": dict(preferences.genre_affinities),
                "updatedAt": _written_time(updated),
            },
            time=updated,
        )
        given = preferences.vector
        vector = None if given is None else checked_given(given, field="vector")

        def put(connection: sqlite3.Connection) -> None:
            if vector is not None:
                row = ("preference", user, len(vector), None, blob(vector), now)
                connection.execute(statement("vector_put"), row)

        return await put_one(self._context, self._patterns, pattern, _is_of_user(user), put)

    async def get(self, user_id: str) -> Preferences | None:
        """Return the profile of this very user, or None. Of several rows, as npm writes them, the last one counts."""

        def found(connection: sqlite3.Connection) -> Preferences | None:
            rows = named(connection, _PREFERENCE, f"User {user_id} preference profile", _is_of_user(user_id))
            if not rows:
                return None
            stored = connection.execute(statement("vector_get"), ("preference", user_id)).fetchone()
            return _preferences(rows[0], user_id, None if stored is None else vector_of(stored[2]))

        return await self._context.file.run(found)

    async def learn(
        self,
        event: WatchEvent,
        *,
        vector: Vector | None = None,
        genres: Sequence[str] = (),
        rewatched: bool = False,
        duration_ratio: float = 0.0,
        seconds: float | None = None,
    ) -> Preferences:
        """Store *event* as an episode, move the user's profile by it, and return the profile.

        *vector* is the title's, of one length for all; *genres* are its own. The formulae are those of
        `media_gateway.preference_math`. Episode and profile are two transactions, in that order. Raises InvalidInputError, DimensionMismatchError, EmbeddingError.
        """
        episode = watch_episode(event, seconds=seconds)
        signal = watch_signal(event.completion or 0.0, event.rating, rewatched=rewatched, duration_ratio=duration_ratio)
        async with self._learning:
            before = await self.get(event.user) or Preferences(user_id=event.user)
            moved = before.vector
            if vector is not None:
                moved = moved_preference(before.vector, vector, float(learning_rate(before.confidence, signal)))
            affinities = dict(before.genre_affinities)
            for genre in genres:
                affinities[genre] = float(moved_affinity(affinities.get(genre, FIRST_AFFINITY), signal))
            after = Preferences(
                user_id=event.user,
                confidence=float(moved_confidence(before.confidence, signal)),
                genre_affinities=affinities,
                vector=moved,
                updated_at=self._context.now,
                metadata=before.metadata,
            )
            await self._episodes.store(episode)
            await self.save(after)
        return after


def _is_of_user(user_id: str) -> IsIt:
    def is_it(row: Pattern) -> bool:
        # The approach names the user too, and is what was asked for.
        return str(facts_of(row).get("userId", user_id)) == user_id

    return is_it


def _preferences(row: Pattern, user_id: str, vector: Vector | None) -> Preferences:
    facts = facts_of(row)
    affinities = facts.get("genreAffinities")
    known = {"userId", "genreAffinities", "updatedAt"}
    return Preferences(
        user_id=user_id,
        confidence=row.success_rate,
        genre_affinities=_numbers(affinities),
        vector=vector,
        updated_at=row.ts,
        metadata={name: value for name, value in facts.items() if name not in known},
    )


def _numbers(given: object) -> dict[str, float]:
    # npm writes a Map either as an object or as a list of pairs.
    pairs: list[Any] = []
    if isinstance(given, dict):
        pairs = list(cast("dict[Any, Any]", given).items())
    elif isinstance(given, list):
        entries = cast("list[Any]", given)
        pairs = [entry for entry in entries if isinstance(entry, list) and len(cast("list[Any]", entry)) == _PAIR]
    return {str(name): float(value) for name, value in pairs if isinstance(value, int | float)}


def _written_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
