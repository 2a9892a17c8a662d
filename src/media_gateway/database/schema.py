"""The SQL migrations: plain files, forward only, each applied in one transaction with its row of history.

A file that was edited after it was applied is refused, by its SHA-256; two runners at once wait for one another by an
advisory lock. Files are templates: `{{name}}` stands for a value that depends on the engine or the dimension.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.index_definitions import LARGEST_DIMENSION
from media_gateway.database.statements import filled
from media_gateway.database.tls import with_reason
from media_gateway.errors import SchemaError

LOCK: Final = 0x6D65_6469_6167_7477  # "mediagtw"
"""The advisory lock of whoever changes the schema or who may do what with it."""
HISTORY_TABLE: Final = "content_schema_history"
_HISTORY: Final = """
CREATE TABLE IF NOT EXISTS content_schema_history (
    version integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_MAY_MIGRATE: Final = """
SELECT current_user, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), relowner::regrole::text,
    coalesce(pg_has_role(relowner, 'USAGE'), true)
FROM (SELECT to_regclass(%s) AS history) AS sought LEFT JOIN pg_class ON pg_class.oid = history
"""
_PAGE_BYTES: Final = 8152
"""Bytes of a row that fills a page alone: 8,192 less the page's and the item's headers."""
_ROW_REST: Final = 900
"""Bytes that a film's row commonly has beside its vector, measured on the sample catalogue."""
_LARGEST_INLINE: Final = 1_600
"""Numbers of the longest vector that is kept in its row: 6.4 KB, which leaves room for the longest key."""


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One file of `sql/migrations`: `0001_content_vectors.sql` is version 1."""

    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """The hash of the template, which is the same for every engine and dimension."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class SchemaState:
    """What a database has: the versions applied, and the migrations of this program that are still to come."""

    applied: Sequence[int]
    pending: Sequence[Migration]

    @property
    def is_empty(self) -> bool:
        """Whether nothing of ours is there yet."""
        return not self.applied

    @property
    def is_current(self) -> bool:
        """Whether nothing is left to apply."""
        return not self.pending


def names_of(migrations: Sequence[Migration]) -> str:
    """Return *migrations* as messages list them."""
    return ", ".join(f"{migration.version} ({migration.name})" for migration in migrations)


def known_migrations() -> list[Migration]:
    """Return the program's migrations in the order of their versions, as they were when they were first asked for."""
    return list(_migrations_read())


@cache
def _migrations_read() -> tuple[Migration, ...]:
    # Once: a process that still runs while the package is replaced on disk stays what it was.
    folder = files("media_gateway.database") / "sql" / "migrations"
    found: list[Migration] = []
    for entry in folder.iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
        if match is not None:
            text = entry.read_text(encoding="utf-8")
            found.append(Migration(version=int(match[1]), name=match[2], text=text))
    return tuple(sorted(found, key=lambda migration: migration.version))


def template_values(engine: Engine, dimension: int) -> dict[str, str]:
    """Return what the placeholders of the migrations stand for."""
    rows_in_page = max(1, _PAGE_BYTES // (dimension * 4 + 8 + _ROW_REST))
    return {
        "extension": engine.name,
        "vector_type": engine.vector_type,
        "access_method": engine.access_method,
        "cosine_ops": engine.cosine_ops,
        "inner_ops": engine.inner_ops,
        "norm_function": engine.norm_function,
        "dimension": str(dimension),
        "vector_storage": "PLAIN" if dimension <= _LARGEST_INLINE else "EXTERNAL",
        # Rows are squeezed, text first, until this many fit a page; the default of 2 KB would move all text out of them.
        "row_bytes": str(_PAGE_BYTES // rows_in_page),
    }


async def schema_state(connection: AsyncConnection[Any]) -> SchemaState:
    """Return the state of *connection*'s database, which is only read.

    Raises SchemaError when a migration was edited after it was applied, or when the database is newer than this
    program.
    """
    cursor = await connection.execute("SELECT to_regclass('content_schema_history') IS NOT NULL")
    row = await cursor.fetchone()
    migrations = known_migrations()
    if row is None or not row[0]:
        return SchemaState(applied=[], pending=migrations)
    cursor = await connection.execute("SELECT version, name, sha256 FROM content_schema_history ORDER BY version")
    applied = await cursor.fetchall()
    known = {migration.version: migration for migration in migrations}
    for version, name, sha256 in applied:
        if version not in known:
            raise SchemaError(
                f"the database has schema version {version} ({name}), which this program does not know; "
                "install the newer media-gateway that made it"
            )
        if known[version].sha256 != sha256:
            raise SchemaError(
                f"migration {version} ({name}) differs from the one that was applied here; "
                "install the media-gateway that applied it, and never edit a released migration"
            )
    done = {version for version, _, _ in applied}
    return SchemaState(
        applied=sorted(done), pending=[migration for migration in migrations if migration.version not in done]
    )


async def migrate(connection: AsyncConnection[Any], engine: Engine, dimension: int) -> list[Migration]:
    """Apply what is pending to *connection*'s database and return it; *connection* must be in autocommit mode.

    Runners at once wait for one another. A migration that fails leaves nothing of itself behind. Raises SchemaError,
    also when a table that this program did not make is in the way.
    """
    await connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    try:
        state = await schema_state(connection)
        if state.is_current:
            return []
        await _refuse_foreign_table(connection, state)
        await _refuse_foreign_role(connection, state)
        await connection.execute(_HISTORY)
        for migration in state.pending:
            # The first migration makes a vector index, which takes no more; `claim_space` makes room for longer ones.
            await _apply(connection, migration, template_values(engine, min(dimension, LARGEST_DIMENSION["vector"])))
        return list(state.pending)
    finally:
        if not connection.closed:
            await connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


async def _apply(connection: AsyncConnection[Any], migration: Migration, values: Mapping[str, str]) -> None:
    async with connection.transaction():
        await connection.execute(filled(migration.text, values))
        await connection.execute(
            "INSERT INTO content_schema_history (version, name, sha256) VALUES (%s, %s, %s)",
            [migration.version, migration.name, migration.sha256],
        )


async def _refuse_foreign_table(connection: AsyncConnection[Any], state: SchemaState) -> None:
    cursor = await connection.execute("SELECT to_regclass('content_vectors') IS NOT NULL")
    row = await cursor.fetchone()
    if state.is_empty and row is not None and row[0]:
        raise SchemaError(
            "a table content_vectors that this program did not make is in the way; move it away with its indexes "
            "(CREATE SCHEMA before; ALTER TABLE content_vectors SET SCHEMA before), run media-gateway db migrate, and "
            "copy its rows: INSERT INTO content_vectors (id, vector, metadata) SELECT id, vector, metadata FROM "
            "before.content_vectors"
        )


async def _refuse_foreign_role(connection: AsyncConnection[Any], state: SchemaState) -> None:
    """Raise SchemaError when *connection*'s role may not make tables, or change those that are there."""
    cursor = await connection.execute(_MAY_MIGRATE, [HISTORY_TABLE])
    user, makes, owner, is_owner = await cursor.fetchone() or ("", True, None, True)
    if makes and is_owner:
        return
    what = "has no tables of this program yet" if state.is_empty else f"lacks the migrations {names_of(state.pending)}"
    raise SchemaError(
        f"the database {what}, and the role {user} may not change tables; run media-gateway db migrate as "
        f"{owner or 'the owner of the database'}, and media-gateway db roles after it"
    )


async def extension_version(connection: AsyncConnection[Any], engine: Engine) -> str | None:
    """Return the version of the engine's extension in this database, or None when it is not created there."""
    cursor = await connection.execute("SELECT extversion FROM pg_extension WHERE extname = %s", [engine.name])
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def connect_dedicated(conninfo: Mapping[str, Any], *, connect_timeout: int = 2) -> AsyncConnection[Any]:
    """Return a connection of its own, in autocommit mode and without time limits: for schema work and bulk loads."""
    arguments: dict[str, Any] = {"connect_timeout": connect_timeout, **conninfo}
    try:
        return await psycopg.AsyncConnection.connect(autocommit=True, **arguments)
    except psycopg.OperationalError as error:
        raise await with_reason(error, conninfo) from error
