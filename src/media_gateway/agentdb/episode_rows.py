"""Rows of episodes: read, checked, and pruned inside a transaction that somebody else has opened."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from media_gateway.agentdb.context import DAY
from media_gateway.agentdb.records import Episode, NewEpisode
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import (
    checked_number,
    checked_text,
    checked_texts,
    checked_whole,
    json_text,
    json_value,
    tags_of,
)

PRUNE_BELOW: Final = 0.3
PRUNE_AFTER_DAYS: Final = 30
KEPT_PER_TASK: Final = 5


def prune_values(now: int, min_reward: float, max_age_days: float, keep: int) -> dict[str, Any]:
    """Return the values of the statement that finds what is to be pruned; raises InvalidInputError."""
    return {
        "min_reward": checked_number(min_reward, "min_reward"),
        "before": int(now - checked_number(max_age_days, "max_age_days", least=0) * DAY),
        "keep": checked_whole(keep, "keep_per_task"),
    }


def prunable(connection: sqlite3.Connection, values: dict[str, Any]) -> list[int]:
    """Return the ids of the episodes to be pruned."""
    return [row[0] for row in connection.execute(statement("episode_prunable"), values)]


def remove(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Remove the episodes with *ids* inside a transaction that is open; skills made from them stay."""
    keys = [(key,) for key in ids]
    connection.executemany(statement("episode_forget_origin"), keys)
    return max(connection.executemany(statement("episode_remove"), keys).rowcount, 0)


def fetched(connection: sqlite3.Connection, ids: Sequence[int]) -> list[Episode]:
    """Return the episodes with *ids* that there are, in that order."""
    query = statement("episode_get")
    rows = (connection.execute(query, (key,)).fetchone() for key in ids)
    return [episode_of(row) for row in rows if row is not None]


def episode_of(row: Sequence[Any]) -> Episode:
    """Return the episode of a row of the table."""
    key, ts, session, task, given, output, critique, reward, success, latency, tokens, tags, metadata, created = row
    return Episode(
        id=key,
        ts=ts,
        session_id=session or "",
        task=task,
        input=given,
        output=output,
        critique=critique,
        reward=reward or 0.0,
        success=bool(success),
        latency_ms=latency,
        tokens_used=tokens,
        tags=tags_of(tags),
        metadata=json_value(metadata),
        created_at=created,
    )


def checked_episode(episode: NewEpisode) -> tuple[Any, ...]:
    """Return *episode* as columns between ts and created_at; raises InvalidInputError."""
    checked_texts((("input", episode.input), ("output", episode.output), ("critique", episode.critique)))
    for field, value in (
        ("latency_ms", episode.latency_ms),
        ("tokens_used", episode.tokens_used),
        ("time", episode.time),
    ):
        if value is not None:
            checked_whole(value, field)
    return (
        checked_text(episode.session_id, "session_id"),
        checked_text(episode.task, "task"),
        episode.input,
        episode.output,
        episode.critique,
        checked_number(episode.reward, "reward"),
        int(bool(episode.success)),
        episode.latency_ms,
        episode.tokens_used,
        json_text(list(episode.tags), field="tags") if episode.tags else None,
        json_text(episode.metadata, field="metadata"),
    )
