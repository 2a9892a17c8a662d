"""The rollout's tables in PostgreSQL, read and written on a connection of their own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, LiteralString, TypeVar

from psycopg import AsyncConnection

from media_gateway.database.faults import faults_translated
from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import StoreUnavailableError
from media_gateway.rollout.patience import within
from media_gateway.rollout.shadow import Summary
from media_gateway.rollout.state import RolloutState

_OPENING_PATIENCE: Final = 10.0

_COLUMNS: Final = "id::text, epoch, mode, percent, follows, tripped, at, who, why"
_HISTORY: Final = f"SELECT {_COLUMNS} FROM content_rollout ORDER BY epoch DESC, at DESC, id DESC LIMIT %s"  # noqa: S608  a constant
_ADD: Final = """
INSERT INTO content_rollout (id, epoch, mode, percent, follows, tripped, at, who, why)
VALUES (%(id)s, %(epoch)s, %(mode)s, %(percent)s, %(follows)s, %(tripped)s, %(at)s, %(who)s, %(why)s)
ON CONFLICT DO NOTHING
"""
_SUMMARY_COLUMNS: Final = (
    "process, compared, dropped, failed, overlap_mean, overlap_lowest, score_difference_largest, "
    "old_p50_ms, old_p95_ms, new_p50_ms, new_p95_ms"
)
_ADD_SUMMARY: Final = f"""
INSERT INTO content_rollout_comparisons ({_SUMMARY_COLUMNS})
VALUES (%(process)s, %(compared)s, %(dropped)s, %(failed)s, %(overlap_mean)s, %(overlap_lowest)s,
    %(score_difference_largest)s, %(old_p50_ms)s, %(old_p95_ms)s, %(new_p50_ms)s, %(new_p95_ms)s)
"""  # noqa: S608  a constant
_FORGET_SUMMARIES: Final = "DELETE FROM content_rollout_comparisons WHERE at < now() - interval '30 days'"
_SUMMARIES: Final = f"SELECT at, {_SUMMARY_COLUMNS} FROM content_rollout_comparisons ORDER BY number DESC LIMIT %s"  # noqa: S608

_T = TypeVar("_T")


class RolloutTable:
    """Reads and writes the tables of migration 7 at the server of *conninfo*; messages call it *server*.

    Every method waits *patience* seconds at most and raises StoreUnavailableError then; the next call connects anew.
    """

    def __init__(self, conninfo: Callable[[], Awaitable[dict[str, Any]]], *, server: str) -> None:
        self._conninfo = conninfo
        self._server = server
        self._connection: AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()
        self.patience = _OPENING_PATIENCE

    async def latest(self) -> RolloutState | None:
        """Return the entry that holds, None when there is none."""
        found = await self.history(1)
        return found[0] if found else None

    async def history(self, limit: int) -> list[RolloutState]:
        """Return the last *limit* entries, the latest first."""
        return [_state(row) for row in await self._rows(_HISTORY, [limit])]

    async def add(self, states: Sequence[RolloutState]) -> None:
        """Add *states*; those that are there already stay."""

        async def work(connection: AsyncConnection[Any]) -> None:
            async with connection.transaction():
                for state in states:
                    await connection.execute(_ADD, {**state.as_json(), "at": state.at})

        await self._run(work)

    async def add_summary(self, process: str, summary: Summary) -> None:
        """Keep *summary* for 30 days."""

        async def work(connection: AsyncConnection[Any]) -> None:
            await connection.execute(_ADD_SUMMARY, {"process": process, **summary.as_json()})
            await connection.execute(_FORGET_SUMMARIES)

        await self._run(work)

    async def summaries(self, limit: int) -> list[dict[str, Any]]:
        """Return the last *limit* summaries, the latest first, by the names of their columns."""
        names = ["at", *_SUMMARY_COLUMNS.split(", ")]
        return [dict(zip(names, row, strict=True)) for row in await self._rows(_SUMMARIES, [limit])]

    async def aclose(self) -> None:
        """Close the connection; a later call connects anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _rows(self, statement: LiteralString, parameters: Sequence[Any]) -> list[Sequence[Any]]:
        async def work(connection: AsyncConnection[Any]) -> list[Sequence[Any]]:
            return await (await connection.execute(statement, parameters)).fetchall()

        return await self._run(work)

    async def _run(self, work: Callable[[AsyncConnection[Any]], Awaitable[_T]]) -> _T:
        async with self._turn:
            try:
                return await within(self.patience, self._connected(work))
            except BaseException as error:
                # What a statement that was cut off left on the connection is not worth finding out.
                await self.aclose()
                if not isinstance(error, TimeoutError):
                    raise
                raise StoreUnavailableError(
                    f"{self._server} did not answer within {self.patience:g} s; check that PostgreSQL runs there "
                    "(media-gateway db status)",
                    server=self._server,
                    reason="no answer",
                ) from error

    async def _connected(self, work: Callable[[AsyncConnection[Any]], Awaitable[_T]]) -> _T:
        with faults_translated(self._server):
            if self._connection is None or self._connection.closed:
                self._connection = await connect_dedicated(await self._conninfo())
                # Poolers in transaction mode know nothing of prepared statements.
                self._connection.prepare_threshold = None
            return await work(self._connection)


def _state(row: Sequence[Any]) -> RolloutState:
    identity, epoch, mode, percent, follows, tripped, at, who, why = row
    return RolloutState(
        id=identity,
        epoch=epoch,
        mode=mode,
        percent=percent,
        follows=follows,
        tripped=tripped,
        at=at,
        who=who,
        why=why,
    )
