"""Episodes: what was tried in a session (of a user), how it went, and what to make of it."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from media_gateway.agentdb.context import (
    DAY,
    Context,
    Vectors,
    nearest_of_another_size,
    next_ids,
    put_vectors,
)
from media_gateway.agentdb.episode_rows import (
    KEPT_PER_TASK,
    PRUNE_AFTER_DAYS,
    PRUNE_BELOW,
    checked_episode,
    episode_of,
    fetched,
    prunable,
    prune_values,
    remove,
)
from media_gateway.agentdb.loading import EpisodeColumn, EpisodeFilter
from media_gateway.agentdb.paging import paged
from media_gateway.agentdb.records import Episode, Found, NewEpisode
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import DIMENSION, blobs, checked_number, checked_whole
from media_gateway.models import MAX_K, Vector

_RECENT_DAYS: Final = 7
_STRATEGY_REWARD: Final = 0.7


@dataclass(frozen=True, kw_only=True)
class EpisodeStatistics:
    """How the attempts at a task, or of a session, went. Means of none are 0.

    *trend* is the mean reward of the last 7 days in proportion to that before, less 1; 0 when either is missing or
    what was before is 0. *first_at* and *last_at* are None when there is no attempt.
    """

    attempts: int
    success_rate: float
    avg_reward: float
    avg_latency_ms: float
    trend: float
    tasks: int
    first_at: int | None
    last_at: int | None


class Episodes:
    """The episodes of an open file. A session is a user's id where the application stores watch events."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._column = EpisodeColumn()

    async def store(self, episode: NewEpisode) -> int:
        """Store *episode* and return its id. Raises as `store_many` does."""
        return (await self.store_many([episode]))[0]

    async def store_many(self, episodes: Sequence[NewEpisode]) -> list[int]:
        """Store *episodes* and return their ids; all of them or, on any error, none.

        Those without a vector of 384 numbers are embedded. Raises InvalidInputError for values that the file cannot
        hold, InvalidVectorError, EmbeddingError, and UnsupportedError when the file is open for reading only.
        """
        self._context.file.check_may_write()
        rows = [checked_episode(episode) for episode in episodes]
        vectors = await self._context.vectors_for(
            [episode.text for episode in episodes], [episode.vector for episode in episodes], "episode"
        )
        now = self._context.now
        times = [now if episode.time is None else episode.time for episode in episodes]

        def added(connection: sqlite3.Connection) -> list[int]:
            return self._add(connection, rows, times, vectors, now)

        def follow(ids: list[int]) -> None:
            facts = [
                (key, row[0], row[5], row[6], time, bool(row[4]))
                for key, row, time in zip(ids, rows, times, strict=True)
            ]
            self._column.added(ids, vectors.standard, facts)

        return await self._context.file.write(added, follow)

    def _add(
        self,
        connection: sqlite3.Connection,
        rows: list[tuple[Any, ...]],
        times: list[int],
        vectors: Vectors,
        now: int,
    ) -> list[int]:
        ids = list(next_ids(connection, "episode", len(rows)))
        connection.executemany(
            statement("episode_add"),
            [(key, time, *row, now) for key, time, row in zip(ids, times, rows, strict=True)],
        )
        model = self._context.model
        connection.executemany(
            statement("episode_embed"),
            [(key, data, model) for key, data in zip(ids, blobs(vectors.standard), strict=True)],
        )
        put_vectors(connection, "episode", ids, vectors, now=now)
        return ids

    async def get(self, episode_id: int) -> Episode | None:
        """Return the episode with this id, or None."""
        rows = await self._context.file.run(lambda connection: fetched(connection, [episode_id]))
        return rows[0] if rows else None

    async def scan(self) -> AsyncIterator[Episode]:
        """Yield every episode by ascending id."""
        async for row in paged(self._context.file, "episode_page"):
            yield episode_of(row)

    async def recent(self, session_id: str, *, limit: int = 10) -> list[Episode]:
        """Return the last *limit* episodes of a session, the latest first."""
        query = (session_id, checked_whole(limit, "limit", least=1))
        rows = await self._context.file.run(
            lambda connection: connection.execute(statement("episode_recent"), query).fetchall()
        )
        return [episode_of(row) for row in rows]

    async def retrieve(
        self,
        task: str | None = None,
        *,
        session_id: str | None,
        state: str = "",
        vector: Vector | None = None,
        k: int = 5,
        min_reward: float | None = None,
        success: bool | None = None,
        days: float | None = None,
        has_critique: bool = False,
    ) -> list[Found[Episode]]:
        """Return the *k* episodes nearest to *task* and *state*, or to *vector*, best first.

        Only those of the session *session_id* are found; None, which has to be said, means everybody's. *success*
        keeps successes or failures, *days* those not older than that. A vector of another length than 384 is compared
        with the vectors of that length that were supplied.

        Raises InvalidInputError, InvalidVectorError, EmbeddingError.
        """
        checked_whole(k, "k", least=1, most=MAX_K)
        text = None if task is None else f"{task}\n{state}" if state else task
        wanted = EpisodeFilter(
            session_id=session_id,
            min_reward=None if min_reward is None else checked_number(min_reward, "min_reward"),
            success=success,
            since=self._since(days),
            has_critique=has_critique,
        )
        query = await self._context.query_vector("episode", text, vector)

        def found(connection: sqlite3.Connection) -> list[Found[Episode]]:
            scores = dict(self._nearest(connection, query, k, wanted))
            rows = fetched(connection, list(scores))
            return [Found(row=row, similarity=scores[row.id], score=scores[row.id]) for row in rows]

        return await self._context.file.run(found, "search")

    def _nearest(
        self, connection: sqlite3.Connection, query: Vector, k: int, wanted: EpisodeFilter
    ) -> list[tuple[int, float]]:
        column = self._column.current(connection)
        positions = self._column.positions(wanted)
        if len(query) != DIMENSION:
            within = None if positions is None else set(column.ids[positions].tolist())
            return nearest_of_another_size(connection, "episode", query, within)[:k]
        return [(near.id, near.similarity) for near in column.nearest(query, k, positions)]

    async def critiques(self, task: str, *, session_id: str | None, k: int = 3) -> list[Found[Episode]]:
        """Return the *k* failures nearest to *task* that have a critique: what to do otherwise this time."""
        return await self.retrieve(task, session_id=session_id, k=k, success=False, has_critique=True)

    async def strategies(self, task: str, *, session_id: str | None, k: int = 3) -> list[Found[Episode]]:
        """Return the *k* successes nearest to *task* with a reward of 0.7 or more: what worked."""
        return await self.retrieve(task, session_id=session_id, k=k, success=True, min_reward=_STRATEGY_REWARD)

    async def task_statistics(
        self, task: str, *, session_id: str | None = None, days: float | None = None
    ) -> EpisodeStatistics:
        """Return how the attempts at *task* went, those of one session or of all, of the last *days* or ever."""
        return await self._statistics(task, session_id, days)

    async def user_statistics(self, session_id: str, *, days: float | None = None) -> EpisodeStatistics:
        """Return how all attempts of a session, which is a user's id, went."""
        return await self._statistics(None, session_id, days)

    async def _statistics(self, task: str | None, session_id: str | None, days: float | None) -> EpisodeStatistics:
        since = self._since(days)
        values = {
            "task": task,
            "session": session_id,
            "since": -(2**62) if since is None else since,
            "recent": self._context.now - _RECENT_DAYS * DAY,
        }
        row = await self._context.file.run(
            lambda connection: connection.execute(statement("episode_statistics"), values).fetchone()
        )
        attempts, rate, reward, latency, tasks, first, last, recent, older = row
        return EpisodeStatistics(
            attempts=attempts,
            success_rate=rate or 0.0,
            avg_reward=reward or 0.0,
            avg_latency_ms=latency or 0.0,
            trend=(recent - older) / older if recent is not None and older else 0.0,
            tasks=tasks,
            first_at=first,
            last_at=last,
        )

    async def prune(
        self,
        *,
        min_reward: float = PRUNE_BELOW,
        max_age_days: float = PRUNE_AFTER_DAYS,
        keep_per_task: int = KEPT_PER_TASK,
    ) -> int:
        """Remove, of each task's episodes with a reward below *min_reward* that are older, all but the best few.

        Returns how many went.
        """
        values = prune_values(self._context.now, min_reward, max_age_days, keep_per_task)
        return await self._context.file.write(
            lambda connection: remove(connection, prunable(connection, values)), lambda _: self._column.forget()
        )

    def _since(self, days: float | None) -> int | None:
        return None if days is None else int(self._context.now - checked_number(days, "days", least=0) * DAY)

    def forget_vectors(self) -> None:
        """Read the vectors anew at the next search; for the file's thread."""
        self._column.forget()

    async def build_index(self) -> bool:
        """Build the graph that answers searches over very many episodes, and wait for it; tell whether there is one.

        It is built in the background anyway once some such searches were made.
        """

        def built(connection: sqlite3.Connection) -> bool:
            column = self._column.current(connection)
            column.wait_for_index()
            return column.is_indexed

        return await self._context.file.run(built, "index")
