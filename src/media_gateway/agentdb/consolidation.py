"""From episodes to skills: what one user did often enough, and well enough, becomes a skill with its true record.

All attempts count, the failed ones too; a skill belongs to one session, so that users are not mixed; and what was
counted once is not counted again, so that a second run changes nothing.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

import numpy as np

from media_gateway.agentdb.context import DAY, Vectors
from media_gateway.agentdb.records import NewSkill, skill_text
from media_gateway.agentdb.skill_rows import checked_skill
from media_gateway.agentdb.skills import Skills
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import checked_number, checked_whole, json_text, object_of
from media_gateway.models import Matrix

_SOURCES: Final = 100


class MissingVectorsError(Exception):
    """What is to be written needs the vectors of *texts*; caught inside this package."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(f"{len(texts)} texts are not embedded yet")
        self.texts = texts


@dataclass(frozen=True, kw_only=True)
class ConsolidationRules:
    """When episodes become a skill.

    There must be *min_attempts* of one task and session with a reward of *min_reward* or more, within the last
    *window_days*.
    """

    min_attempts: int = 3
    min_reward: float = 0.7
    window_days: float = 7.0

    def checked(self) -> "ConsolidationRules":
        """Return these rules, or raise InvalidInputError naming the one that cannot be used."""
        checked_whole(self.min_attempts, "min_attempts", least=1)
        checked_number(self.min_reward, "min_reward")
        checked_number(self.window_days, "window_days", least=0)
        return self


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of the attempts at something: means over *uses* of them."""

    uses: int
    success_rate: float
    avg_reward: float
    avg_latency_ms: float

    def plus(self, other: "Record") -> "Record":
        """Return the record of both."""
        uses = self.uses + other.uses

        def mean(mine: float, theirs: float) -> float:
            return (mine * self.uses + theirs * other.uses) / uses if uses else 0.0

        return Record(
            uses=uses,
            success_rate=mean(self.success_rate, other.success_rate),
            avg_reward=mean(self.avg_reward, other.avg_reward),
            avg_latency_ms=mean(self.avg_latency_ms, other.avg_latency_ms),
        )


@dataclass(frozen=True, kw_only=True)
class SkillUpdate:
    """What the skill with this *id* becomes."""

    id: int
    record: Record
    metadata: str | None


@dataclass(frozen=True, kw_only=True)
class Consolidation:
    """The skills to be made, and those to be brought up to date."""

    created: list[NewSkill]
    updated: list[SkillUpdate]


def skill_name(task: str, session_id: str) -> str:
    """Return the name of the skill that a session's episodes of *task* become; names are unique in a file."""
    return f"{task} ({session_id})"


def plan(connection: sqlite3.Connection, rules: ConsolidationRules, now: int) -> Consolidation:
    """Return what consolidating would change; nothing is written."""
    since = int(now - rules.window_days * DAY)
    rows = connection.execute(statement("episode_attempts"), (since,)).fetchall()
    created: dict[str, NewSkill] = {}
    updated: list[SkillUpdate] = []
    for (session, task), group in groupby(rows, key=lambda row: (row[1] or "", row[2])):
        attempts = list(group)
        name = skill_name(task, session)
        existing = connection.execute(statement("skill_named"), (name,)).fetchone()
        if existing is not None:
            update = _update(existing, attempts)
            if update is not None:
                updated.append(update)
        elif sum(row[3] >= rules.min_reward for row in attempts) >= rules.min_attempts:
            # Odd names of tasks and sessions may make one name together: "a (b)" of "c", and "a" of "b) (c".
            created.setdefault(name, _skill(task, session, attempts))
    return Consolidation(created=list(created.values()), updated=updated)


def carry_out(
    connection: sqlite3.Connection, planned: Consolidation, store: Skills, vectors: dict[str, Matrix]
) -> tuple[int, int]:
    """Write what was *planned* inside a transaction that is open; returns how many skills were created and updated.

    *vectors* has the (384,) vector of each new skill's text. Raises MissingVectorsError naming those that it lacks.
    """
    texts = [_text(skill) for skill in planned.created]
    missing = [text for text in texts if text not in vectors]
    if missing:
        raise MissingVectorsError(missing)
    if texts:
        matrix = np.stack([vectors[text] for text in texts])
        rows = [checked_skill(skill) for skill in planned.created]
        store.add_rows(connection, rows, Vectors(standard=matrix, another=[None] * len(texts)))
    updated = 0
    for update in planned.updated:
        record = update.record
        values = (record.success_rate, record.uses, record.avg_reward, record.avg_latency_ms)
        row = (*values, update.metadata, update.id)
        updated += connection.execute(statement("skill_consolidated"), row).rowcount
    return len(texts), updated


def _text(skill: NewSkill) -> str:
    return skill_text(skill.name, skill.description, json_text(skill.signature, field="signature") or "")


def _record(attempts: Sequence[Sequence[Any]]) -> Record:
    latencies = [row[5] for row in attempts if row[5] is not None]
    return Record(
        uses=len(attempts),
        success_rate=sum(bool(row[4]) for row in attempts) / len(attempts),
        avg_reward=sum(row[3] for row in attempts) / len(attempts),
        avg_latency_ms=sum(latencies) / len(latencies) if latencies else 0.0,
    )


def _skill(task: str, session: str, attempts: Sequence[Sequence[Any]]) -> NewSkill:
    record = _record(attempts)
    best = max(attempts, key=lambda row: (row[3], row[0]))
    ids = [int(row[0]) for row in attempts]
    return NewSkill(
        name=skill_name(task, session),
        description=f"What {session} did in {task}",
        signature={"inputs": {"task": "string"}, "outputs": {"result": "any"}},
        success_rate=record.success_rate,
        uses=record.uses,
        avg_reward=record.avg_reward,
        avg_latency_ms=round(record.avg_latency_ms),
        created_from_episode=best[0],
        metadata={
            "autoGenerated": True,
            "task": task,
            "sessionId": session,
            "countedThrough": max(ids),
            "sourceEpisodes": ids[-_SOURCES:],
        },
    )


def _update(existing: Sequence[Any], attempts: Sequence[Sequence[Any]]) -> SkillUpdate | None:
    metadata = object_of(existing[13])
    counted = metadata.get("countedThrough")
    # A skill of that name that somebody else made, or of another task and session, is left as it is.
    whose = (metadata.get("sessionId"), metadata.get("task"))
    if not isinstance(counted, int) or whose != (attempts[0][1] or "", attempts[0][2]):
        return None
    new = [row for row in attempts if row[0] > counted]
    if not new:
        return None
    before = Record(
        uses=existing[6] or 0,
        success_rate=existing[5] or 0.0,
        avg_reward=existing[7] or 0.0,
        avg_latency_ms=existing[8] or 0.0,
    )
    after = before.plus(_record(new))
    sources = [*metadata.get("sourceEpisodes", []), *(int(row[0]) for row in new)][-_SOURCES:]
    kept = {**metadata, "countedThrough": max(int(row[0]) for row in new), "sourceEpisodes": sources}
    after = replace(after, avg_latency_ms=round(after.avg_latency_ms))
    return SkillUpdate(id=existing[0], record=after, metadata=json_text(kept, field="metadata"))
