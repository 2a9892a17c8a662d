"""Writes of one process: run once, and again where that is safe.

Which write to a key was issued last is known, so that a write of unknown outcome is repeated only where nothing later is
undone by it.
"""

from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection

from media_gateway.database.faults import is_connection_lost, translated
from media_gateway.database.pool import Pool
from media_gateway.errors import OutcomeUnknownError, StoreUnavailableError

ROWS_A_STATEMENT: Final = 500
"""Rows of one upsert statement, so that it ends well within the statement timeout with an index to keep."""
_CONFLICTS: Final = ("40001", "40P01")
_ATTEMPTS: Final = 3

_T = TypeVar("_T")


class IssuedWrites:
    """The writes of one process that are under way, by key."""

    def __init__(self) -> None:
        self._clock = 0
        self._latest: dict[str, int] = {}

    @contextmanager
    def issued(self, keys: Iterable[str]) -> Generator["Write"]:
        """Note a write to *keys* for as long as the block runs."""
        self._clock += 1
        write = Write(self._latest, self._clock, list(keys))
        for key in write.keys:
            self._latest[key] = write.number
        try:
            yield write
        finally:
            for key in write.keys:
                if self._latest.get(key) == write.number:
                    del self._latest[key]


class Write:
    """One write under way."""

    def __init__(self, latest: dict[str, int], number: int, keys: list[str]) -> None:
        self._latest = latest
        self.number = number
        self.keys = keys
        self.may_be_committed = False
        """Whether the server was asked to commit: a connection lost from then on leaves the outcome unknown."""

    @property
    def is_latest(self) -> bool:
        """Whether no other write to any of these keys was issued since."""
        return all(self._latest.get(key) == self.number for key in self.keys)


class Writes:
    """Runs the writes of one process on the connections of *pool*."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._issued = IssuedWrites()

    async def run(
        self,
        keys: Sequence[str],
        run: Callable[[AsyncConnection[Any], Write], Awaitable[_T]],
        *,
        is_repeatable: bool,
    ) -> _T:
        """Run a write once, again after a conflict, and again after a lost connection where that can undo nothing."""
        server = self._pool.endpoint.server
        patience = self._pool.endpoint.patience
        if patience is not None:
            patience *= len(keys) // ROWS_A_STATEMENT + 2
        with self._issued.issued(keys) as write:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    async with self._pool.connection(patience=patience) as connection:
                        return await run(connection, write)
                except psycopg.Error as error:
                    if error.sqlstate in _CONFLICTS and attempt < _ATTEMPTS:
                        write.may_be_committed = False
                        continue
                    if not is_connection_lost(error):
                        raise translated(error, server) from error
                    if write.may_be_committed and not (is_repeatable and write.is_latest and attempt < _ATTEMPTS):
                        raise _unknown(server, keys) from error
                    if attempt == _ATTEMPTS:
                        raise translated(error, server) from error
                except StoreUnavailableError as error:
                    if write.may_be_committed:
                        raise _unknown(server, keys) from error
                    raise
        raise AssertionError("unreachable")


def _unknown(server: str, keys: Sequence[str]) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"the connection to {server} was lost while {len(keys)} records were being committed: they are written wholly "
        "or not at all; read them before writing again"
    )
