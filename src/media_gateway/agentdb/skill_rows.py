"""Rows of skills: read, checked, ranked, and pruned inside a transaction that somebody else has opened."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from media_gateway.agentdb.context import DAY
from media_gateway.agentdb.records import NewSkill, Skill
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import (
    checked_number,
    checked_text,
    checked_texts,
    checked_whole,
    json_text,
    json_value,
)

_USES_AT_FULL_RANK: Final = 1000
PRUNE_USES: Final = 3
PRUNE_SUCCESS_RATE: Final = 0.4
PRUNE_AFTER_DAYS: Final = 60


def rank(similarity: float, success_rate: float, uses: int, avg_reward: float) -> float:
    """Return what skills are ordered by: 0.4 similarity + 0.3 rate + 0.1 min(uses / 1000, 1) + 0.2 mean reward."""
    return 0.4 * similarity + 0.3 * success_rate + 0.1 * min(uses / _USES_AT_FULL_RANK, 1.0) + 0.2 * avg_reward


def prune_values(now: int, min_uses: int, min_success_rate: float, max_age_days: float) -> dict[str, Any]:
    """Return the values of the statement that finds what is to be pruned; raises InvalidInputError."""
    return {
        "min_uses": checked_whole(min_uses, "min_uses"),
        "min_success_rate": checked_number(min_success_rate, "min_success_rate", least=0, most=1),
        "before": int(now - checked_number(max_age_days, "max_age_days", least=0) * DAY),
    }


def prunable(connection: sqlite3.Connection, values: dict[str, Any]) -> list[int]:
    """Return the ids of the skills to be pruned."""
    return [row[0] for row in connection.execute(statement("skill_prunable"), values)]


def remove(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Remove the skills with *ids* inside a transaction that is open; returns how many went."""
    return max(connection.executemany(statement("skill_remove"), [(key,) for key in ids]).rowcount, 0)


def fetched(connection: sqlite3.Connection, ids: Sequence[int]) -> list[Skill]:
    """Return the skills with *ids* that there are, in that order."""
    query = statement("skill_get")
    rows = (connection.execute(query, (key,)).fetchone() for key in ids)
    return [skill_of(row) for row in rows if row is not None]


def skill_of(row: Sequence[Any]) -> Skill:
    """Return the skill of a row of the table."""
    key, name, description, signature, code, rate, uses, reward, latency, origin, created, updated, used, metadata = row
    return Skill(
        id=key,
        name=name,
        description=description,
        signature=json_value(signature),
        code=code,
        success_rate=rate or 0.0,
        uses=uses or 0,
        avg_reward=reward or 0.0,
        avg_latency_ms=latency or 0.0,
        created_from_episode=origin,
        created_at=created,
        updated_at=updated,
        last_used_at=used,
        metadata=json_value(metadata),
    )


def checked_skill(skill: NewSkill) -> tuple[Any, ...]:
    """Return *skill* as columns behind id, the times left out; raises InvalidInputError."""
    checked_texts((("description", skill.description), ("code", skill.code)))
    return (
        checked_text(skill.name, "name"),
        skill.description,
        json_text(skill.signature, field="signature"),
        skill.code,
        checked_number(skill.success_rate, "success_rate", least=0, most=1),
        checked_whole(skill.uses, "uses"),
        checked_number(skill.avg_reward, "avg_reward"),
        checked_number(skill.avg_latency_ms, "avg_latency_ms", least=0),
        skill.created_from_episode,
        json_text(skill.metadata, field="metadata"),
    )
