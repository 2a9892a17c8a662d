"""One embedded PostgreSQL for all systems that need one, each in a database of its own."""

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, LiteralString
from urllib.parse import quote

import anyio
import anyio.to_thread
import orjson
import psycopg
from psycopg import AsyncConnection, sql

from media_gateway.benchmarking.machine import memory_of_processes
from media_gateway.benchmarking.systems.base import Loaded, Sizes
from media_gateway.database.index_definitions import IndexDefinition, IndexKind
from media_gateway.database.server import EmbeddedServer
from media_gateway.settings import Settings

_WARM: Final[LiteralString] = """
SELECT pg_prewarm(pg_class.oid)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'i', 't', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY relkind = 'i'
"""


def label_of(index: IndexDefinition) -> str:
    """Return what *index* is, for people."""
    return f"hnsw {index.kind} m {index.m}, ef_construction {index.ef_construction}"


def database_for(system: str, index: IndexDefinition) -> str:
    """Return the name of a database in which *system* has its rows with *index*."""
    return f"{system}_{index.m}_{index.ef_construction}"


class BenchmarkServer:
    """The server in *folder*, begun when a database is first asked for; with *keep* it leaves the data there."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self._folder = folder
        self._keep = keep
        self._server = EmbeddedServer(folder)
        self._is_started = False

    def settings(self, index: IndexKind = "vector") -> Settings:
        """Return the settings of a store of ours on it: the defaults, searching by *index*."""
        return Settings.read(backend="postgres", embedded_path=self._folder, index=index, exact=False, engine="vector")

    async def database(self, name: str, fingerprint: str) -> "Database":
        """Return the database *name* for data of *fingerprint*: as an earlier run left it when that loaded it, else empty."""
        if not self._is_started:
            self._is_started = True
            starting = asyncio.create_task(asyncio.to_thread(self._server.start))
            try:
                await asyncio.shield(starting)
            except asyncio.CancelledError:
                # It goes on in its thread; only what is started can be stopped.
                await starting
                raise
        database = Database(name=f"bench_{name}", server=self._server)
        await database.prepare(fingerprint)
        return database

    async def done_with(self, database: "Database") -> None:
        """Drop *database*, unless data is kept."""
        if not self._keep:
            await database.drop()

    async def stop(self) -> None:
        """Stop the server, also while being cancelled; its data goes, unless it is kept."""
        with anyio.CancelScope(shield=True):
            if self._is_started:
                await anyio.to_thread.run_sync(self._server.stop)
            if not self._keep:
                await anyio.to_thread.run_sync(lambda: shutil.rmtree(self._folder, ignore_errors=True))


class Database:
    """One database. What loading took stands in its comment, written when loading was done."""

    def __init__(self, *, name: str, server: EmbeddedServer) -> None:
        self.name = name
        self._server = server
        self._fingerprint = ""
        self.loaded: Loaded | None = None

    @property
    def conninfo(self) -> dict[str, Any]:
        """Libpq's parameters."""
        return {**self._server.conninfo(), "dbname": self.name}

    def url(self, scheme: str) -> str:
        """Return the address for SQLAlchemy with the driver that *scheme* names."""
        given = self.conninfo
        return f"{scheme}://{given['user']}@/{self.name}?host={quote(str(given['host']), safe='')}&port={given['port']}"

    async def prepare(self, fingerprint: str) -> None:
        """Make it anew, unless an earlier run loaded the same data."""
        self._fingerprint = fingerprint
        async with await self._connect_beside() as connection:
            cursor = await connection.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [self.name]
            )
            row = await cursor.fetchone()
            self.loaded = _loaded(row[0], fingerprint) if row and row[0] else None
            if self.loaded is None:
                name = sql.Identifier(self.name)
                await connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
                await connection.execute(sql.SQL("CREATE DATABASE {}").format(name))

    async def settle(self, loaded: Loaded) -> None:
        """Note what loading took, and bring the database into the state that it has a while later."""
        async with await self.connect() as connection:
            await connection.execute("VACUUM (ANALYZE)")
            await connection.execute("CHECKPOINT")
        comment = orjson.dumps({"fingerprint": self._fingerprint, **asdict(loaded)}).decode()
        statement = sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(self.name), sql.Literal(comment))
        async with await self._connect_beside() as connection:
            await connection.execute(statement)
        self.loaded = loaded

    async def warm(self) -> None:
        """Read everything into memory."""
        async with await self.connect() as connection:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
            await connection.execute(_WARM)

    async def sizes(self) -> Sizes:
        """Return the bytes of the database's files, and of the memory that the server's processes hold now."""
        async with await self.connect() as connection:
            cursor = await connection.execute("SELECT pg_database_size(current_database())")
            row = await cursor.fetchone()
        pid = self._server.status().pid
        memory = None if pid is None else await anyio.to_thread.run_sync(memory_of_processes, pid)
        return Sizes(disk=None if row is None else int(row[0]), memory=memory)

    async def versions(self) -> Mapping[str, str]:
        """Return the versions of the server and of pgvector."""
        async with await self.connect() as connection:
            cursor = await connection.execute(
                "SELECT current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = 'vector')"
            )
            row = await cursor.fetchone()
        return {} if row is None else {"postgresql": str(row[0]), "pgvector": str(row[1])}

    async def drop(self) -> None:
        """Remove it."""
        async with await self._connect_beside() as connection:
            await connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name))
            )

    async def connect(self) -> AsyncConnection[Any]:
        """Return a connection without a time limit, in autocommit mode."""
        return await psycopg.AsyncConnection.connect(autocommit=True, **self.conninfo)

    async def _connect_beside(self) -> AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(autocommit=True, **self._server.conninfo())


def _loaded(comment: str, fingerprint: str) -> Loaded | None:
    entries = orjson.loads(comment)
    if entries.pop("fingerprint", None) != fingerprint:
        return None
    return Loaded(**entries)
