"""Skills: what can be done, found by what it is for and by how well it went."""

import sqlite3
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from media_gateway.agentdb.context import Context, Vectors, nearest_of_another_size, next_ids, put_vectors
from media_gateway.agentdb.loading import FollowedColumn
from media_gateway.agentdb.paging import paged
from media_gateway.agentdb.patterns import no_such
from media_gateway.agentdb.records import Found, NewSkill, Skill, SkillLink, skill_text
from media_gateway.agentdb.skill_rows import (
    PRUNE_AFTER_DAYS,
    PRUNE_SUCCESS_RATE,
    PRUNE_USES,
    checked_skill,
    fetched,
    prunable,
    prune_values,
    rank,
    remove,
    skill_of,
)
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import (
    DIMENSION,
    blobs,
    checked_number,
    checked_text,
    checked_texts,
    checked_whole,
    json_text,
    json_value,
    object_of,
)
from media_gateway.errors import InvalidInputError, shown
from media_gateway.models import MAX_K, Vector


class Skills:
    """The skills of an open file."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._column = FollowedColumn("skill")

    async def create(self, skill: NewSkill) -> int:
        """Create *skill* and return its id.

        Raises InvalidInputError for a name that is taken or values that the file cannot hold, InvalidVectorError,
        EmbeddingError, and UnsupportedError when the file is open for reading only.
        """
        self._context.file.check_may_write()
        row = checked_skill(skill)
        text = skill_text(row[0], row[1], row[2])
        vectors = await self._context.vectors_for([text], [skill.vector], "skill")

        def added(connection: sqlite3.Connection) -> int:
            if connection.execute(statement("skill_named"), (skill.name,)).fetchone() is not None:
                raise InvalidInputError(
                    f"there is a skill named {shown(skill.name)} in this file; update it, or choose another name",
                    field="name",
                    given=skill.name,
                    expected="a name that is not taken",
                )
            if skill.created_from_episode is not None:
                origin = connection.execute(statement("episode_get"), (skill.created_from_episode,)).fetchone()
                if origin is None:
                    raise no_such("episode", skill.created_from_episode)
            return self.add_rows(connection, [row], vectors)[0]

        return await self._context.file.write(added, lambda key: self._column.added([key], vectors.standard))

    def add_rows(self, connection: sqlite3.Connection, rows: list[tuple[Any, ...]], vectors: Vectors) -> list[int]:
        """Insert checked *rows* inside a transaction that is open."""
        now = self._context.now
        ids = list(next_ids(connection, "skill", len(rows)))
        connection.executemany(
            statement("skill_add"),
            [(key, *row[:9], now, now, row[9]) for key, row in zip(ids, rows, strict=True)],
        )
        model = self._context.model
        data = blobs(vectors.standard)
        connection.executemany(
            statement("skill_embed"), [(key, one, model) for key, one in zip(ids, data, strict=True)]
        )
        put_vectors(connection, "skill", ids, vectors, now=now)
        return ids

    async def get(self, skill_id: int) -> Skill | None:
        """Return the skill with this id, or None."""
        rows = await self._context.file.run(lambda connection: fetched(connection, [skill_id]))
        return rows[0] if rows else None

    async def named(self, name: str) -> Skill | None:
        """Return the skill with this name, or None."""
        row = await self._context.file.run(
            lambda connection: connection.execute(statement("skill_named"), (name,)).fetchone()
        )
        return None if row is None else skill_of(row)

    async def scan(self) -> AsyncIterator[Skill]:
        """Yield every skill by ascending id."""
        async for row in paged(self._context.file, "skill_page"):
            yield skill_of(row)

    async def search(
        self,
        text: str | None = None,
        *,
        vector: Vector | None = None,
        k: int = 5,
        min_success_rate: float = 0.0,
        session_id: str | None = None,
    ) -> list[Found[Skill]]:
        """Return the *k* skills that rank best for *text* or *vector*.

        Rank = 0.4 similarity + 0.3 success rate + 0.1 min(uses / 1000, 1) + 0.2 mean reward, over all skills. With a
        *session_id*, skills that were consolidated from another session's episodes are left out.

        Raises InvalidInputError, InvalidVectorError, EmbeddingError.
        """
        checked_whole(k, "k", least=1, most=MAX_K)
        checked_number(min_success_rate, "min_success_rate", least=0, most=1)
        query = await self._context.query_vector("skill", text, vector)

        def found(connection: sqlite3.Connection) -> list[Found[Skill]]:
            rows = connection.execute(statement("skill_ranks"), (min_success_rate,)).fetchall()
            if session_id is not None:
                rows = [row for row in rows if object_of(row[4]).get("sessionId", session_id) == session_id]
            best = self._ranked(connection, query, rows)[:k]
            by_id = {skill.id: skill for skill in fetched(connection, [key for key, _, _ in best])}
            return [Found(row=by_id[key], similarity=near, score=score) for key, near, score in best]

        return await self._context.file.run(found, "search")

    def _ranked(self, connection: sqlite3.Connection, query: Vector, rows: list[Any]) -> list[tuple[int, float, float]]:
        """Return id, similarity and rank of each of *rows* that has a vector, best first."""
        facts = {row[0]: row for row in rows}
        if len(query) != DIMENSION:
            near = dict(nearest_of_another_size(connection, "skill", query, set(facts)))
        else:
            column = self._column.current(connection)
            positions = column.positions_of(np.array(list(facts), dtype=np.int64))
            ids = column.ids[positions].tolist()
            near = dict(zip(ids, column.similarities(query, positions).tolist(), strict=True))
        ranked = [(key, score, rank(score, *facts[key][1:4])) for key, score in near.items()]
        return sorted(ranked, key=lambda item: (-item[2], item[0]))

    async def record_use(self, skill_id: int, *, success: bool, reward: float, latency_ms: float = 0) -> None:
        """Count a use: rate, mean reward and mean latency move as running means, (x * uses + v) / (uses + 1).

        Raises InvalidInputError when there is no such skill.
        """
        checked_number(reward, "reward")
        checked_number(latency_ms, "latency_ms", least=0)
        values = {"id": skill_id, "success": int(success), "reward": reward, "latency_ms": latency_ms}
        changed = await self._context.file.write(
            lambda connection: connection.execute(statement("skill_used"), values).rowcount
        )
        if not changed:
            raise no_such("skill", skill_id)

    async def update(
        self,
        skill_id: int,
        *,
        description: str | None = None,
        code: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Change what is given of a skill; its text is embedded anew when the description changes.

        Raises InvalidInputError when there is no such skill.
        """
        checked_texts((("description", description), ("code", code)))
        stored = json_text(metadata, field="metadata")
        before = await self._context.file.run(
            lambda connection: connection.execute(statement("skill_get"), (skill_id,)).fetchone()
        )
        if before is None:
            raise no_such("skill", skill_id)
        vector = None
        if description is not None:
            vector = await self._context.embed([skill_text(before[1], description, before[3])])

        def changed(connection: sqlite3.Connection) -> None:
            connection.execute(statement("skill_change"), (description, code, stored, skill_id))
            if vector is not None:
                connection.execute(statement("skill_embed"), (skill_id, blobs(vector)[0], self._context.model))

        await self._context.file.write(changed, lambda _: self._column.forget())

    async def link(
        self,
        parent_id: int,
        child_id: int,
        relationship: str,
        *,
        weight: float = 1.0,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Say that *parent_id* has *child_id* as *relationship*; saying it again sets weight and metadata anew.

        Raises InvalidInputError when either is not there, or both are one.
        """
        checked_text(relationship, "relationship")
        checked_number(weight, "weight")
        stored = json_text(metadata, field="metadata")
        if parent_id == child_id:
            raise InvalidInputError(
                f"skill {parent_id} was to be linked with itself; give two skills",
                field="child_id",
                given=child_id,
                expected="another skill",
            )

        def linked(connection: sqlite3.Connection) -> None:
            for key in (parent_id, child_id):
                if connection.execute(statement("skill_get"), (key,)).fetchone() is None:
                    raise no_such("skill", key)
            connection.execute(statement("link_add"), (parent_id, child_id, relationship, weight, stored))

        await self._context.file.write(linked)

    async def links(self, parent_id: int, relationship: str | None = None) -> list[SkillLink]:
        """Return the links of a skill to its children, the heaviest first."""
        values = {"parent": parent_id, "relationship": relationship}
        rows = await self._context.file.run(
            lambda connection: connection.execute(statement("link_list"), values).fetchall()
        )
        return [
            SkillLink(
                id=row[0],
                parent_skill_id=row[1],
                child_skill_id=row[2],
                relationship=row[3],
                weight=row[4] if row[4] is not None else 1.0,
                metadata=json_value(row[5]),
            )
            for row in rows
        ]

    async def prune(
        self,
        *,
        min_uses: int = PRUNE_USES,
        min_success_rate: float = PRUNE_SUCCESS_RATE,
        max_age_days: float = PRUNE_AFTER_DAYS,
    ) -> int:
        """Remove skills that were used less, succeed less, and are older than that; returns how many went."""
        values = prune_values(self._context.now, min_uses, min_success_rate, max_age_days)
        return await self._context.file.write(
            lambda connection: remove(connection, prunable(connection, values)), lambda _: self._column.forget()
        )

    def forget_vectors(self) -> None:
        """Read the vectors anew at the next search; for the file's thread."""
        self._column.forget()
