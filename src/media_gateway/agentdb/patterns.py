"""Reasoning patterns: which approach to a type of task worked, and how well."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from media_gateway.agentdb.context import (
    DAY,
    Context,
    Vectors,
    nearest_of_another_size,
    next_ids,
    put_vectors,
)
from media_gateway.agentdb.loading import FollowedColumn
from media_gateway.agentdb.paging import paged
from media_gateway.agentdb.records import Found, NewPattern, Pattern
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import (
    DIMENSION,
    blobs,
    checked_number,
    checked_text,
    checked_whole,
    json_text,
    json_value,
    tags_of,
)
from media_gateway.errors import InvalidInputError
from media_gateway.models import MAX_K, Vector

_RECENT_DAYS: Final = 7


@dataclass(frozen=True, kw_only=True)
class PatternStatistics:
    """What all patterns are like: *recent* ones are of the last 7 days, *high_performing* ones succeed in 80 % or more.

    *top_task_types* are the ten that are most frequent, with their counts.
    """

    patterns: int
    avg_success_rate: float
    avg_uses: float
    recent: int
    high_performing: int
    top_task_types: dict[str, int]


class Patterns:
    """The patterns of an open file."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._column = FollowedColumn("pattern")

    async def store(self, pattern: NewPattern) -> int:
        """Store *pattern* and return its id. Raises as `store_many` does."""
        return (await self.store_many([pattern]))[0]

    async def store_many(self, patterns: Sequence[NewPattern]) -> list[int]:
        """Store *patterns* and return their ids; all of them or, on any error, none.

        Those without a vector of 384 numbers are embedded. Raises InvalidInputError for values that the file cannot
        hold, InvalidVectorError, EmbeddingError, and UnsupportedError when the file is open for reading only.
        """
        self._context.file.check_may_write()
        rows = [checked_pattern(pattern) for pattern in patterns]
        vectors = await self._context.vectors_for(
            [pattern.text for pattern in patterns], [pattern.vector for pattern in patterns], "pattern"
        )
        times = [pattern.time for pattern in patterns]

        def added(connection: sqlite3.Connection) -> list[int]:
            return self.add_rows(connection, rows, times, vectors)

        return await self._context.file.write(added, lambda ids: self.follow(ids, vectors))

    def add_rows(
        self, connection: sqlite3.Connection, rows: list[tuple[Any, ...]], times: list[int | None], vectors: Vectors
    ) -> list[int]:
        """Insert checked *rows* inside a transaction that is open."""
        now = self._context.now
        ids = list(next_ids(connection, "pattern", len(rows)))
        given = [(key, now if time is None else time, *row) for key, time, row in zip(ids, times, rows, strict=True)]
        connection.executemany(statement("pattern_add"), given)
        connection.executemany(statement("pattern_embed"), zip(ids, blobs(vectors.standard), strict=True))
        put_vectors(connection, "pattern", ids, vectors, now=now)
        return ids

    def change_row(
        self, connection: sqlite3.Connection, pattern_id: int, row: tuple[Any, ...], time: int, vectors: Vectors
    ) -> None:
        """Make a pattern what the checked *row* says inside a transaction that is open; its uses stay."""
        _, _, success_rate, _, _, tags, metadata = row
        connection.execute(statement("pattern_change"), (time, success_rate, tags, metadata, pattern_id))
        connection.execute(statement("pattern_embed"), (pattern_id, blobs(vectors.standard)[0]))
        put_vectors(connection, "pattern", [pattern_id], vectors, now=self._context.now)

    def remove_rows(self, connection: sqlite3.Connection, ids: Sequence[int]) -> None:
        """Remove patterns inside a transaction that is open."""
        if ids:
            connection.executemany(statement("pattern_remove"), [(key,) for key in ids])
            self._column.forget()

    async def get(self, pattern_id: int) -> Pattern | None:
        """Return the pattern with this id, or None."""
        rows = await self._context.file.run(lambda connection: fetched(connection, [pattern_id]))
        return rows[0] if rows else None

    async def scan(self) -> AsyncIterator[Pattern]:
        """Yield every pattern by ascending id."""
        async for row in paged(self._context.file, "pattern_page"):
            yield pattern_of(row)

    async def search(
        self,
        text: str | None = None,
        *,
        vector: Vector | None = None,
        k: int = 10,
        threshold: float = 0.0,
        task_type: str | None = None,
        min_success_rate: float | None = None,
        tags: Sequence[str] = (),
    ) -> list[Found[Pattern]]:
        """Return the *k* patterns nearest to *text* or *vector* by exact cosine, best first, at least *threshold*.

        *tags* asks for any of them. A vector of another length than 384 is compared with the vectors of that length
        that were supplied. Raises InvalidInputError, InvalidVectorError, EmbeddingError.
        """
        checked_whole(k, "k", least=1, most=MAX_K)
        checked_number(threshold, "threshold", least=-1, most=1)
        query = await self._context.query_vector("pattern", text, vector)
        filters = {"task_type": task_type, "min_success_rate": min_success_rate}
        is_filtered = task_type is not None or min_success_rate is not None or bool(tags)

        def found(connection: sqlite3.Connection) -> list[Found[Pattern]]:
            allowed = _allowed(connection, filters, tags) if is_filtered else None
            best = self._nearest(connection, query, k, allowed)
            scores = {key: score for key, score in best if score >= threshold}
            rows = fetched(connection, list(scores))
            return [Found(row=row, similarity=scores[row.id], score=scores[row.id]) for row in rows]

        return await self._context.file.run(found, "search")

    def _nearest(
        self, connection: sqlite3.Connection, query: Vector, k: int, allowed: list[int] | None
    ) -> list[tuple[int, float]]:
        if len(query) != DIMENSION:
            within = set(allowed) if allowed is not None else None
            return nearest_of_another_size(connection, "pattern", query, within)[:k]
        column = self._column.current(connection)
        positions = None if allowed is None else column.positions_of(np.array(allowed, dtype=np.int64))
        return [(near.id, near.similarity) for near in column.nearest(query, k, positions)]

    async def record_use(self, pattern_id: int, *, success: bool, reward: float) -> None:
        """Count a use: rate and mean reward move as running means, (x * uses + v) / (uses + 1).

        Raises InvalidInputError when there is no such pattern.
        """
        checked_number(reward, "reward")
        values = {"id": pattern_id, "success": int(success), "reward": reward}
        changed = await self._context.file.write(
            lambda connection: connection.execute(statement("pattern_used"), values).rowcount
        )
        if not changed:
            raise no_such("pattern", pattern_id)

    async def remove(self, pattern_id: int) -> bool:
        """Remove a pattern with its vectors; tell whether there was one."""

        def gone(connection: sqlite3.Connection) -> bool:
            return connection.execute(statement("pattern_remove"), (pattern_id,)).rowcount > 0

        return await self._context.file.write(gone, lambda _: self._column.forget())

    async def statistics(self) -> PatternStatistics:
        """Return counts and means over all patterns; means of none are 0."""
        since = self._context.now - _RECENT_DAYS * DAY

        def counted(connection: sqlite3.Connection) -> PatternStatistics:
            count, rate, uses, recent, high = connection.execute(
                statement("pattern_statistics"), {"since": since}
            ).fetchone()
            types = connection.execute(statement("pattern_task_types")).fetchall()
            return PatternStatistics(
                patterns=count,
                avg_success_rate=rate or 0.0,
                avg_uses=uses or 0.0,
                recent=recent,
                high_performing=high,
                top_task_types=dict(types),
            )

        return await self._context.file.run(counted)

    def forget_vectors(self) -> None:
        """Read the vectors anew at the next search; for the file's thread."""
        self._column.forget()

    def follow_one(self, pattern_id: int, vectors: Vectors) -> None:
        """Note a row that was added or changed, and committed; for the file's thread."""
        self._column.put(pattern_id, vectors.standard)

    def follow(self, ids: list[int], vectors: Vectors) -> None:
        """Note rows that were committed; for the file's thread."""
        self._column.added(ids, vectors.standard)


def _allowed(connection: sqlite3.Connection, filters: dict[str, Any], tags: Sequence[str]) -> list[int]:
    rows = connection.execute(statement("pattern_ids"), filters).fetchall()
    wanted = set(tags)
    return [key for key, stored in rows if not wanted or wanted & set(tags_of(stored))]


def fetched(connection: sqlite3.Connection, ids: Sequence[int]) -> list[Pattern]:
    """Return the patterns with *ids* that there are, in that order."""
    query = statement("pattern_get")
    rows = (connection.execute(query, (key,)).fetchone() for key in ids)
    return [pattern_of(row) for row in rows if row is not None]


def pattern_of(row: Sequence[Any]) -> Pattern:
    """Return the pattern of a row of the table."""
    key, ts, task_type, approach, rate, uses, reward, tags, metadata = row
    return Pattern(
        id=key,
        ts=ts or 0,
        task_type=task_type,
        approach=approach,
        success_rate=rate or 0.0,
        uses=uses or 0,
        avg_reward=reward or 0.0,
        tags=tags_of(tags),
        metadata=json_value(metadata),
    )


def checked_pattern(pattern: NewPattern) -> tuple[Any, ...]:
    """Return *pattern* as columns behind id and time; raises InvalidInputError."""
    if pattern.time is not None:
        checked_whole(pattern.time, "time")
    return (
        checked_text(pattern.task_type, "task_type"),
        checked_text(pattern.approach, "approach"),
        checked_number(pattern.success_rate, "success_rate", least=0, most=1),
        checked_whole(pattern.uses, "uses"),
        checked_number(pattern.avg_reward, "avg_reward"),
        json_text(list(pattern.tags), field="tags") if pattern.tags else None,
        json_text(pattern.metadata, field="metadata"),
    )


def no_such(kind: str, row_id: int) -> InvalidInputError:
    """Return the error for a row that is not there."""
    return InvalidInputError(
        f"there is no {kind} {row_id} in this file; searches return the ids that there are",
        field=f"{kind}_id",
        given=row_id,
        expected=f"the id of a {kind}",
    )
