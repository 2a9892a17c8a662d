"""What the checks of a server work with: a connection that only reads, and what is known of the settings."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.monitoring.diagnosis.limits import Limits
from media_gateway.monitoring.diagnosis.parts import DiagnosisParts
from media_gateway.monitoring.surroundings import folder_here, is_local
from media_gateway.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ServerView:
    """One server while it is examined. *connection* is in a transaction that only reads while a check runs."""

    settings: Settings
    engine: Engine
    conninfo: Mapping[str, Any]
    connection: AsyncConnection[Any]
    parts: DiagnosisParts
    limits: Limits

    @property
    def server(self) -> str:
        """How messages name the server."""
        return self.settings.server()

    @property
    def database(self) -> str:
        """The name of the database."""
        return self.connection.info.dbname

    @property
    def role(self) -> str:
        """The name of the role."""
        return self.connection.info.user

    async def rows(
        self, statement: LiteralString, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a reading *statement*."""
        cursor = await self.connection.execute(statement, parameters)
        return await cursor.fetchall()

    async def row(
        self, statement: LiteralString, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> tuple[Any, ...]:
        """Return the one row of a reading *statement*."""
        (row,) = await self.rows(statement, parameters)
        return row

    async def data_folder(self) -> Path | None:
        """Return the server's data folder where it lies on this machine and the role may know it, else None."""
        if not is_local(self.conninfo):
            return None
        name: str | None = None
        with suppress(psycopg.errors.InsufficientPrivilege):
            async with self.connection.transaction():
                (name,) = await self.row("SELECT current_setting('data_directory')")
        return None if name is None else folder_here(name)
