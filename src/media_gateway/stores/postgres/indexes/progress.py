"""How far the build of an index is, by pg_stat_progress_create_index, in plain words."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from media_gateway.database.pool import Endpoint
from media_gateway.database.schema import connect_dedicated

_QUERY: Final = """
SELECT phase, tuples_done, tuples_total, blocks_done, blocks_total,
    coalesce(extract(epoch FROM clock_timestamp() - query_start)::float8, 0)
FROM pg_stat_progress_create_index LEFT JOIN pg_stat_activity USING (pid)
WHERE relid = 'content_vectors'::regclass
ORDER BY pid LIMIT 1
"""
_SECONDS_BETWEEN: Final = 0.5
_PHASES: Final = (
    ("waiting for", "waiting for other transactions to end"),
    ("building index: scanning table", "reading the rows"),
    ("building index: sorting", "sorting"),
    ("building index: loading tuples in tree", "writing the index"),
    ("building index", "building the graph"),
    ("index validation", "adding what was written meanwhile"),
)
_BUILDING: Final = "building the graph"
_LEAST_SHARE: Final = 0.01
"""Share of a build before which its speed says little."""


@dataclass(frozen=True, kw_only=True)
class BuildProgress:
    """*phase* in plain words, *done* of *total* rows, None when nobody knows, and how long it goes on.

    *seconds_left* is of the building alone, at the pace so far.
    """

    phase: str
    done: int
    total: int | None
    seconds: float
    seconds_left: float | None

    @property
    def percent(self) -> float | None:
        """How much of the phase is done, 0 to 100."""
        return None if not self.total else min(100.0, 100.0 * self.done / self.total)


OnProgress = Callable[[BuildProgress], None]


async def current_progress(connection: AsyncConnection[Any], rows: int | None) -> BuildProgress | None:
    """Return how far the build of an index on the collection, of *rows*, is; None when none is running."""
    cursor = await connection.execute(_QUERY)
    row = await cursor.fetchone()
    return None if row is None else _progress(row, rows)


@asynccontextmanager
async def watched(endpoint: Endpoint, rows: int, on_progress: OnProgress | None) -> AsyncGenerator[None]:
    """Tell *on_progress* every half second, on a connection of its own, how far the build within this block is."""
    if on_progress is None:
        yield
        return
    task = asyncio.create_task(_watch(endpoint, rows, on_progress))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(endpoint: Endpoint, rows: int, on_progress: OnProgress) -> None:
    # Telling how far the build is must never be what ends it.
    with suppress(psycopg.Error):
        connection = await connect_dedicated(endpoint.conninfo)
        try:
            while True:
                progress = await current_progress(connection, rows)
                if progress is not None:
                    on_progress(progress)
                await asyncio.sleep(_SECONDS_BETWEEN)
        finally:
            await connection.close()


def _progress(row: tuple[Any, ...], rows: int | None) -> BuildProgress:
    phase, tuples_done, tuples_total, blocks_done, blocks_total, seconds = row
    words = next((ours for theirs, ours in _PHASES if str(phase).startswith(theirs)), str(phase))
    if words == _BUILDING:
        # pgvector counts what is in the graph; how many will be, it does not know.
        done, total = int(tuples_done), rows or int(tuples_total) or None
    else:
        done, total = int(blocks_done), int(blocks_total) or None
    left = None
    if words == _BUILDING and total and _LEAST_SHARE * total < done:
        left = max(0.0, seconds * (total - done) / done)
    return BuildProgress(phase=words, done=done, total=total, seconds=seconds, seconds_left=left)
