"""Backups of a PostgreSQL collection: pg_dump of one snapshot, and restores into a database of their own."""

import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from psycopg import AsyncConnection, sql

from media_gateway.database.clients import ClientPrograms, client_programs, run_client
from media_gateway.database.collection import recorded_space
from media_gateway.database.engine import Engine
from media_gateway.database.faults import faults_translated
from media_gateway.database.index_definitions import IndexDefinition, fitting_kind
from media_gateway.database.schema import connect_dedicated, extension_version, known_migrations
from media_gateway.database.scratch import scratch_database
from media_gateway.errors import BackupError, SchemaError, SettingsError
from media_gateway.models import BackupFacts, BackupKind, Restored
from media_gateway.stores.postgres.digests import digest_on
from media_gateway.stores.postgres.indexes.estimate import graph_bytes
from media_gateway.stores.postgres.restoring import listing_without

LEFT_OUT: Final = ("content_embedding_cache", "vector_search_logs")
"""Tables whose rows are not backed up: what may be emptied at any time, and what somebody may have to be erased from."""
_LIMITS: Final = ["statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout", "lock_timeout"]
_NO_LIMITS: Final = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY(%s)"
_TABLES: Final = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname <> ALL(%s)
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
ORDER BY relname
"""
_INDEXES: Final = """
SELECT coalesce(bool_and(indisvalid), false), count(*) FILTER (WHERE amname = %s)
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
WHERE indrelid = to_regclass('content_vectors')
"""
_M: Final = IndexDefinition().m


class PostgresBackup:
    """The database of *conninfo*, which messages call *server*, as what backups are taken of.

    *programs* is the folder of pg_dump and pg_restore, looked for where it is None. *keeps_owners* False makes the
    restoring role the owner of everything, for a server that lacks the roles of the one that was backed up. Raises
    SettingsError when *conninfo* names no database.
    """

    kind: BackupKind = "postgres"

    def __init__(
        self,
        conninfo: Mapping[str, Any],
        *,
        server: str,
        engine: Engine,
        programs: Path | None = None,
        keeps_owners: bool = True,
    ) -> None:
        if not conninfo.get("dbname"):
            raise SettingsError(
                f"the address of {server} names no database; put one at its end, postgresql://USER@HOST:PORT/DATABASE",
                field="database_url",
                expected="the name of a database",
            )
        self._conninfo = dict(conninfo)
        self._server = server
        self._engine = engine
        self._folder = programs
        self._keeps_owners = keeps_owners

    async def write(self, path: Path) -> BackupFacts:
        """Write the whole database to *path* as pg_dump's custom format, and return what is in it.

        Rows of the embedding cache and of the log of searches are left out. What is counted and what is dumped is
        one snapshot, while others write. Raises SchemaError when there is no collection, BackupError when pg_dump
        fails, SettingsError when only older programs are found than the server.
        """
        async with self._reading(self._conninfo) as connection:
            programs = await self._programs(connection)
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            ((snapshot,),) = await _rows(connection, "SELECT pg_export_snapshot()")
            facts = await self._facts(connection, programs)
            left_out = [f"--exclude-table-data=*.{table}" for table in LEFT_OUT]
            await run_client(
                programs,
                "pg_dump",
                ["--format=custom", f"--snapshot={snapshot}", f"--file={path}", *left_out],
                failure=f"{self._server} could not be backed up",
                path=path,
                conninfo=self._conninfo,
            )
            return facts

    async def advice(self, facts: BackupFacts) -> list[str]:
        """Return what the index to be rebuilt needs of memory, and what the server gives it."""
        if facts.dimension is None or not facts.count:
            return []
        needed = graph_bytes(facts.count, facts.dimension, fitting_kind(facts.dimension), _M)
        given = await self._maintenance_memory()
        told = f"an index over {facts.count:,} vectors takes about {needed / 2**20:,.0f} MiB of memory to build"
        if given >= needed:
            return [f"{told}; the server gives it {given / 2**20:,.0f} MiB"]
        remedy = f"ALTER SYSTEM SET maintenance_work_mem = '{(needed >> 20) + 1}MB', then SELECT pg_reload_conf()"
        return [f"{told}, and the server gives it {given / 2**20:,.0f} MiB, so it takes many times longer; {remedy}"]

    async def check(self, path: Path, facts: BackupFacts) -> None:
        """Restore the dump at *path* into a scratch database, compare it with *facts*, and drop it again."""
        async with scratch_database(self._conninfo, self._server) as scratch:
            await self._fill(scratch.conninfo, path, facts, keeps_owners=False)
            await self._verify(scratch.conninfo, path, facts)

    async def restore(self, path: Path, facts: BackupFacts, *, at: datetime) -> Restored:
        """Restore the dump at *path* into a new database, compare it with *facts*, and swap the two by renaming.

        The former database is kept. Raises BackupError when the dump cannot be restored or holds something else,
        SchemaError when the role may not create or rename databases or create the extension, or the dump is of a newer
        program, and ExtensionMissingError when the server lacks the extension.
        """
        newest = known_migrations()[-1].version
        if facts.schema_version is not None and facts.schema_version > newest:
            raise SchemaError(
                f"{path} has schema version {facts.schema_version}, and this program knows {newest}; install the newer "
                "media-gateway that made it"
            )
        async with scratch_database(self._conninfo, self._server) as scratch:
            left_out = await self._fill(scratch.conninfo, path, facts, keeps_owners=self._keeps_owners)
            await self._verify(scratch.conninfo, path, facts)
            kept = await scratch.take_place(at=at)
        advice = [] if kept is None else [f'the former database can be removed by DROP DATABASE "{kept}"']
        if left_out:
            names = ", ".join(left_out)
            advice.append(
                f"left out, since this role cannot make them here: the extensions {names}; nothing needs them"
            )
        if facts.schema_version != newest:
            advice.append("the schema is behind this program; run media-gateway db migrate")
        name = self._conninfo["dbname"]
        return Restored(place=f"the database {name} of {self._server}", kept=kept, advice=advice)

    async def _fill(
        self, conninfo: Mapping[str, Any], path: Path, facts: BackupFacts, *, keeps_owners: bool
    ) -> list[str]:
        """Restore the dump at *path* into the empty database of *conninfo*; the first failure ends it.

        Returns the optional extensions that could not be made there.
        """
        async with self._reading(conninfo) as connection:
            written_by = int(facts.versions.get("pg_dump", "0").partition(".")[0])
            programs = await self._programs(connection, at_least=written_by)
        failure = f"{path} could not be restored, and nothing was changed"
        entries = await run_client(programs, "pg_restore", ["--list", str(path)], failure=failure, path=path)
        async with self._reading(conninfo) as connection:
            kept, left_out = await listing_without(
                connection, entries, needed=self._engine.name, path=path, server=self._server
            )
        with tempfile.NamedTemporaryFile("w", suffix=".list") as listing:
            await anyio.to_thread.run_sync(listing.write, kept)
            listing.flush()
            options = ["--exit-on-error", f"--use-list={listing.name}"]
            if not keeps_owners:
                options += ["--no-owner", "--no-privileges"]
            await run_client(
                programs, "pg_restore", [*options, str(path)], failure=failure, path=path, conninfo=conninfo
            )
        async with self._reading(conninfo) as connection:
            await connection.execute("ANALYZE")
        return left_out

    async def _verify(self, conninfo: Mapping[str, Any], path: Path, facts: BackupFacts) -> None:
        async with self._reading(conninfo) as connection:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found = await self._facts(connection, None)
            ((are_valid, vector_indexes),) = await _rows(connection, _INDEXES, self._engine.access_method)
        wanted, restored = _comparable(facts), _comparable(found)
        for what in wanted | restored:
            expected, given = wanted.get(what), restored.get(what)
            if expected != given:
                raise _other(path, f"{what} came out as {given}, and its manifest says {expected}")
        if not are_valid or not vector_indexes:
            raise _other(path, "it has no usable vector index")

    async def _facts(self, connection: AsyncConnection[Any], programs: ClientPrograms | None) -> BackupFacts:
        ((has_table, has_history),) = await _rows(
            connection,
            "SELECT to_regclass('content_vectors') IS NOT NULL, to_regclass('content_schema_history') IS NOT NULL",
        )
        if not has_table or not has_history:
            raise SchemaError(f"{self._server} has no collection; load something first")
        ((schema_version,),) = await _rows(connection, "SELECT max(version) FROM content_schema_history")
        space = await recorded_space(connection)
        digest = await digest_on(connection, send=await self._send_function(connection))
        versions = {
            "postgres": connection.info.parameter_status("server_version") or "unknown",
            self._engine.name: await extension_version(connection, self._engine) or "none",
        }
        if programs is not None:
            versions["pg_dump"] = programs.version
        return BackupFacts(
            kind=self.kind,
            count=digest.count,
            model=None if space is None else space.model,
            dimension=None if space is None else space.dimension,
            digest=digest.text,
            schema_version=schema_version,
            tables=await _counts(connection),
            versions=versions,
        )

    async def _send_function(self, connection: AsyncConnection[Any]) -> str:
        ((name,),) = await _rows(
            connection, "SELECT typsend::regproc::text FROM pg_type WHERE oid = %s::regtype", self._engine.vector_type
        )
        return name

    async def _programs(self, connection: AsyncConnection[Any], *, at_least: int = 0) -> ClientPrograms:
        major = connection.info.server_version // 10_000
        return await anyio.to_thread.run_sync(lambda: client_programs(major, at_least=at_least, folder=self._folder))

    async def _maintenance_memory(self) -> int:
        async with self._reading({**self._conninfo, "dbname": "postgres"}) as connection:
            ((given,),) = await _rows(connection, "SELECT pg_size_bytes(current_setting('maintenance_work_mem'))")
            return given

    @asynccontextmanager
    async def _reading(self, conninfo: Mapping[str, Any]) -> AsyncGenerator[AsyncConnection[Any]]:
        """Lend a connection of its own without any time limit."""
        with faults_translated(self._server):
            connection = await connect_dedicated(conninfo)
            try:
                await connection.execute(_NO_LIMITS, [_LIMITS])
                yield connection
            finally:
                await connection.close()


def _comparable(facts: BackupFacts) -> dict[str, object]:
    """Return what a restore must bring back, by what a message calls it."""
    return {
        "the number of records": facts.count,
        "the digest of the records": facts.digest,
        "the model": facts.model,
        "the dimension": facts.dimension,
        "the schema version": facts.schema_version,
        **{f"the number of rows in {table}": count for table, count in facts.tables.items()},
    }


async def _counts(connection: AsyncConnection[Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (table,) in await _rows(connection, _TABLES, list(LEFT_OUT)):
        statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        ((counts[table],),) = await _rows(connection, statement)
    return counts


async def _rows(connection: AsyncConnection[Any], statement: Any, *values: object) -> list[Any]:
    cursor = await connection.execute(statement, values)
    return await cursor.fetchall()


def _other(path: Path, finding: str) -> BackupError:
    return BackupError(
        f"{path} was restored beside what runs, but {finding}; nothing was changed: use another backup", path=str(path)
    )
