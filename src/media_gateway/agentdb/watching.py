"""Watch events as episodes: how the application writes them, and how they are read as events again."""

import re
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from media_gateway.agentdb.context import Context
from media_gateway.agentdb.records import NewEpisode
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import json_text, object_of
from media_gateway.contracts import EventSource
from media_gateway.errors import InvalidInputError, shown
from media_gateway.models import Vector, WatchEvent
from media_gateway.preference_math import is_success, watch_reward

_KEY: Final = re.compile(r"(movie|tv)-([1-9][0-9]*)")
_TASK: Final = re.compile(r"watch_(movie|tv)_([1-9][0-9]*)")
_PAGE: Final = 1000
_LARGEST_RATING: Final = 10.0


def watch_episode(
    event: WatchEvent,
    *,
    seconds: float | None = None,
    context: dict[str, Any] | None = None,
    vector: Vector | None = None,
) -> NewEpisode:
    """Return *event* as the episode that the application stores of it.

    Its task is `watch_<type>_<id>`, its session the user; it is a success when completion > 0.7, and its reward is
    completion times rating / 10, or 0.8 where unrated. *seconds* is how long was watched, *context* any JSON that says more. Raises InvalidInputError for a key that names
    no film or series, or an event without a completion.
    """
    named = _KEY.fullmatch(event.key)
    if named is None:
        raise InvalidInputError(
            f"the key {shown(event.key)} names no film or series; expected one such as movie-603",
            field="key",
            given=event.key,
            expected="movie-<number> or tv-<number>",
        )
    if event.completion is None:
        raise InvalidInputError(
            "the event has no completion; give the share that was watched, from 0 to 1",
            field="completion",
            expected="a number from 0 to 1",
        )
    given = {"contentId": int(named[2]), "mediaType": named[1], "context": context or {}}
    output: dict[str, Any] = {"completionRate": event.completion}
    if seconds is not None:
        output = {"duration": seconds, **output}
    if event.rating is not None:
        output["rating"] = event.rating
    reward = watch_reward(event.completion, event.rating)
    return NewEpisode(
        session_id=event.user,
        task=f"watch_{named[1]}_{named[2]}",
        input=json_text(given, field="input"),
        output=json_text(output, field="output"),
        critique=f"User completed {event.completion:.0%} of content",
        reward=reward,
        success=is_success(event.completion),
        latency_ms=None if seconds is None else round(1000 * seconds),
        vector=vector,
        time=int(event.time),
    )


class WatchEpisodes(EventSource):
    """The watch episodes of an open file, as an EventSource for what learns."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def events(self) -> AsyncGenerator[WatchEvent]:
        """Yield the watch episodes as events in the order of their times; other episodes are passed over.

        Completion and rating are None where an episode does not say them, or says something that is none.
        """
        after = (-(2**62), -1)
        while True:
            rows = await self._context.file.run(lambda connection, after=after: _page(connection, after))
            if not rows:
                return
            for row in rows:
                event = _event(row)
                if event is not None:
                    yield event
            after = (rows[-1][1], rows[-1][0])


def _page(connection: sqlite3.Connection, after: tuple[int, int]) -> list[Any]:
    return connection.execute(statement("episode_watched"), (*after, _PAGE)).fetchall()


def _event(row: Sequence[Any]) -> WatchEvent | None:
    _, time, user, task, _, output = row
    named = _TASK.fullmatch(task)
    if named is None or not user:
        return None
    facts = object_of(output)
    return WatchEvent(
        user=user,
        key=f"{named[1]}-{named[2]}",
        time=float(time),
        action="watch",
        completion=_within(facts.get("completionRate"), 1.0),
        rating=_within(facts.get("rating"), _LARGEST_RATING),
    )


def _within(value: object, largest: float) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
        return None
    return float(value)
