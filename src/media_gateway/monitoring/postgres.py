"""One look at a PostgreSQL server: connections, slow statements, sizes, index use, replication, transactions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final, LiteralString

import psycopg
from psycopg import AsyncConnection

from media_gateway.database.faults import first_line
from media_gateway.database.roles.rights import project_tables
from media_gateway.database.statements import trusted
from media_gateway.monitoring.families import Reading, Samples

STATEMENT_SECONDS: Final = 2
"""Seconds that one reading may take on the server; more would mean that watching is part of the trouble."""

_Row = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of ours: its *bytes* with its TOAST, and its rows, *live* and *dead*, by PostgreSQL's estimate."""

    name: str
    bytes: int
    live: int
    dead: int


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index of content_vectors: *scans* that used it, the entries *read* from it, the rows *fetched* by it."""

    name: str
    bytes: int
    scans: int
    read: int
    fetched: int


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement on content_vectors, times in seconds; *hash* stands for its *query*."""

    hash: str
    query: str
    calls: int
    total: float
    mean: float
    longest: float


@dataclass(frozen=True, kw_only=True)
class Standby:
    """A standby and the seconds by which it *lag*s behind."""

    name: str
    state: str
    lag: float


@dataclass(frozen=True, kw_only=True)
class PostgresReading:
    """What one look found; None and nothing where this role may not read, for which *missing* has the reasons by name."""

    database: str
    version: str
    connections_max: int
    data_directory: str | None = None
    connections: Mapping[str, int] = field(default_factory=dict[str, int])
    oldest_transaction: float | None = None
    standbys: Sequence[Standby] | None = None
    tables: Sequence[Table] = ()
    indexes: Sequence[Index] = ()
    records: int | None = None
    statements: Sequence[Statement] | None = None
    missing: Mapping[str, str] = field(default_factory=dict[str, str])

    def samples(self) -> Reading:
        """Return it as samples of the metrics."""
        sizes = {(part.name,): float(part.bytes) for part in (*self.tables, *self.indexes)}
        found: dict[str, Samples] = {
            "postgres_up": 1.0,
            "postgres_connections": {(state,): float(count) for state, count in self.connections.items()},
            "postgres_connections_max": float(self.connections_max),
            "postgres_relation_size_bytes": sizes,
            "postgres_index_scans_total": {(index.name,): float(index.scans) for index in self.indexes},
            "postgres_dead_rows": {(table.name,): float(table.dead) for table in self.tables},
            "postgres_statement_mean_seconds": {(one.hash,): one.mean for one in self.statements or ()},
        }
        if self.standbys is not None:
            found["postgres_replication_lag_seconds"] = max((standby.lag for standby in self.standbys), default=0.0)
        if self.oldest_transaction is not None:
            found["postgres_oldest_transaction_seconds"] = self.oldest_transaction
        if self.records is not None:
            found["collection_records"] = float(self.records)
        return found


_NO_STATEMENTS: Final = (psycopg.errors.UndefinedTable, psycopg.errors.ObjectNotInPrerequisiteState)
"""What reading pg_stat_statements gives where the extension was not created, and where its library is not loaded."""


async def read_postgres(connection: AsyncConnection[Any]) -> PostgresReading:
    """Return what a look by *connection*, in autocommit mode, finds; what may not be read is left out.

    Raises psycopg's errors when not even the server's name can be read.
    """
    missing: dict[str, str] = {}

    async def rows(name: str, **values: Any) -> list[_Row] | None:
        try:
            return await _rows(connection, name, values)
        except psycopg.Error as error:
            if connection.broken or connection.closed:
                raise
            missing[name] = first_line(error)
            if name == "statements" and isinstance(error, _NO_STATEMENTS):
                ((is_loaded,),) = await _rows(connection, "statements_loaded", {})
                missing[name] = statements_advice(database, is_loaded=is_loaded)
            return None

    ((database, version, most, folder),) = await _rows(connection, "server", {})
    states = await rows("connections") or []
    oldest = await rows("oldest_transaction")
    standbys = await rows("replication")
    if any(state is None for _, state, _ in standbys or ()):
        # Whoever may not see standbys gets rows with nothing in them, which must not pass for standbys without a lag.
        missing["replication"] = "only members of pg_read_all_stats see how far standbys are"
        standbys = None
    tables = await rows("tables", tables=project_tables()) or []
    indexes = await rows("indexes") or []
    counted = await rows("records")
    statements = await rows("statements")
    return PostgresReading(
        database=database,
        version=version,
        connections_max=most,
        data_directory=folder,
        connections=dict(states),
        oldest_transaction=oldest[0][0] if oldest else None,
        standbys=None if standbys is None else [_made(Standby, row) for row in standbys],
        tables=[_made(Table, row) for row in tables],
        indexes=[_made(Index, row) for row in indexes],
        records=counted[0][0] if counted else None,
        statements=None if statements is None else [_made(Statement, row) for row in statements],
        missing=missing,
    )


def statements_advice(database: str, *, is_loaded: bool) -> str:
    """Return what to do where pg_stat_statements is not at hand in *database*; *is_loaded* tells of the server."""
    create = (
        f"a superuser runs CREATE EXTENSION pg_stat_statements in {database}, by media-gateway db psql -c "
        '"CREATE EXTENSION pg_stat_statements" where the settings name one'
    )
    if is_loaded:
        return f"the server counts statements, but this database does not show them: {create}"
    return (
        "the server does not load pg_stat_statements: its administrator adds it to shared_preload_libraries and starts the "
        f"server anew, and then {create}"
    )


@cache
def _statements() -> Mapping[str, LiteralString]:
    text = (files("media_gateway.monitoring") / "sql" / "readings.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- (\w+) --$", text, flags=re.MULTILINE)[1:]
    return {name: trusted(body.strip()) for name, body in zip(parts[::2], parts[1::2], strict=True)}


async def _rows(connection: AsyncConnection[Any], name: str, values: Mapping[str, Any]) -> list[_Row]:
    # Limits of a transaction: behind a pooler the session is not ours to set up.
    async with connection.transaction():
        await connection.execute(_LIMITED, [f"{STATEMENT_SECONDS}s"])
        cursor = await connection.execute(_statements()[name], values)
        return await cursor.fetchall()


_LIMITED: Final = "SELECT set_config('statement_timeout', %s, true), set_config('transaction_read_only', 'on', true)"


def _made(kind: type[Any], row: _Row) -> Any:
    return kind(**dict(zip(kind.__dataclass_fields__, row, strict=True)))
