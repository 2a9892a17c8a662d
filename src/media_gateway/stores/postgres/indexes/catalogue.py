"""The vector indexes that a collection has, and what was noted of their builds.

The note of a build is the index's own comment, as JSON: it goes where the index goes, into dumps too, and when it is
dropped.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from psycopg import AsyncConnection, sql

from media_gateway.database.collection import column_dimension
from media_gateway.database.engine import Engine
from media_gateway.database.index_definitions import INDEX_NAMES, IndexDefinition, IndexKind
from media_gateway.errors import InvalidRequestError, SchemaError
from media_gateway.stores.postgres.indexes.estimate import BuildRate

_INDEXES: Final = """
SELECT relname, indisvalid, pg_relation_size(pg_class.oid), reloptions, obj_description(pg_class.oid, 'pg_class')
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
WHERE indrelid = 'content_vectors'::regclass AND amname = %s
ORDER BY relname
"""
_TABLE: Final = """
SELECT reltuples * (pg_relation_size(pg_class.oid) / 8192) / nullif(relpages, 0), coalesce(n_dead_tup, 0),
    coalesce(n_tup_upd + n_tup_del, 0), (SELECT count(*) FROM (SELECT FROM content_vectors LIMIT %s) AS counted)
FROM pg_class LEFT JOIN pg_stat_all_tables ON relid = pg_class.oid
WHERE pg_class.oid = to_regclass('content_vectors')
"""
_COUNTED: Final = 10_000
"""Rows up to which they are counted: estimates of a table that was just filled are far off."""
_LEFTOVER: Final = re.compile(r"content_vectors_(hnsw|halfvec)_idx_(new|ccnew\d*|ccold\d*)")
_KINDS: Final[dict[str, IndexKind]] = {name: kind for kind, name in INDEX_NAMES.items()}


@dataclass(frozen=True, kw_only=True)
class BuildNote:
    """When an index was built, over how many rows of how many numbers, and in how many seconds.

    *changes* are the table's updates and deletes that the server had counted by then.
    """

    built_at: datetime
    rows: int
    dimension: int
    seconds: float
    changes: int


@dataclass(frozen=True, kw_only=True)
class IndexState:
    """An HNSW index of the collection's table. *definition* is None for one that is not ours.

    One that is not valid is the rest of a build that was cut off: no search uses it, every write pays for it.
    """

    name: str
    definition: IndexDefinition | None
    is_valid: bool
    bytes: int
    note: BuildNote | None

    @property
    def is_leftover(self) -> bool:
        """Whether it is the rest of a build of ours that was cut off."""
        is_ours = self.name in _KINDS or _LEFTOVER.fullmatch(self.name) is not None
        return is_ours and (not self.is_valid or self.name not in _KINDS)


@dataclass(frozen=True, kw_only=True)
class TableState:
    """The collection's table: *rows* and *dead* ones, the *changes* (updates and deletes) counted, and its dimension."""

    rows: int
    dead: int
    changes: int
    dimension: int

    def changes_since(self, note: BuildNote | None) -> int | None:
        """Return how many updates and deletes there were since the build of *note*, None when the server forgot."""
        return None if note is None or note.changes > self.changes else self.changes - note.changes


async def read_indexes(connection: AsyncConnection[Any], engine: Engine) -> list[IndexState]:
    """Return the HNSW indexes of the collection's table, in the order of their names."""
    cursor = await connection.execute(_INDEXES, [engine.access_method])
    return [_state(*row) for row in await cursor.fetchall()]


async def read_table(connection: AsyncConnection[Any]) -> TableState:
    """Return the state of the collection's table; few rows are counted, many are reckoned as the planner does.

    Raises SchemaError when there is none.
    """
    dimension = await column_dimension(connection)
    if dimension is None:
        raise SchemaError(
            "there is no table content_vectors yet; load something first, or run media-gateway db migrate"
        )
    cursor = await connection.execute(_TABLE, [_COUNTED + 1])
    estimated, dead, changes, rows = await cursor.fetchone() or (None, 0, 0, 0)
    if rows > _COUNTED and estimated is not None and estimated > 0:
        rows = max(rows, round(estimated))
    elif rows > _COUNTED:
        cursor = await connection.execute("SELECT count(*) FROM content_vectors")
        (rows,) = await cursor.fetchone() or (rows,)
    return TableState(rows=rows, dead=dead, changes=changes, dimension=dimension)


async def write_note(connection: AsyncConnection[Any], name: str, note: BuildNote) -> None:
    """Keep *note* with the index *name*."""
    values = {
        "built_at": note.built_at.isoformat(),
        "rows": note.rows,
        "dimension": note.dimension,
        "seconds": round(note.seconds, 3),
        "changes": note.changes,
    }
    await connection.execute(
        sql.SQL("COMMENT ON INDEX {} IS {}").format(sql.Identifier(name), sql.Literal(json.dumps(values)))
    )


def known_rate(indexes: Sequence[IndexState]) -> BuildRate | None:
    """Return the latest build on record that took long enough to tell how fast the server builds."""
    noted = [(index.note, index.definition) for index in indexes if index.note and index.definition]
    noted = [(note, definition) for note, definition in noted if note.seconds >= 1]
    if not noted:
        return None
    note, definition = max(noted, key=lambda pair: pair[0].built_at)
    return BuildRate(
        rows=note.rows,
        dimension=note.dimension,
        definition=definition,
        seconds=note.seconds,
        source=f"the build of {definition.name} here ({note.rows:,} rows in {note.seconds:.0f} s)",
    )


def now() -> datetime:
    """Return the time of a build that ends now."""
    return datetime.now(UTC)


def _state(name: str, is_valid: bool, size: int, options: Sequence[str] | None, comment: str | None) -> IndexState:  # noqa: FBT001
    chosen = dict(option.split("=", 1) for option in options or ())
    kind = _kind(name)
    definition = None
    if kind is not None:
        try:
            definition = IndexDefinition(
                kind=kind, m=int(chosen.get("m", 16)), ef_construction=int(chosen.get("ef_construction", 64))
            )
        except InvalidRequestError:
            definition = None
    return IndexState(name=name, definition=definition, is_valid=is_valid, bytes=size, note=_note(comment))


def _kind(name: str) -> IndexKind | None:
    if name in _KINDS:
        return _KINDS[name]
    found = _LEFTOVER.fullmatch(name)
    return None if found is None else "halfvec" if found[1] == "halfvec" else "vector"


def _note(comment: str | None) -> BuildNote | None:
    """Return the note in *comment*, None when an operator wrote something else there."""
    try:
        values = cast("dict[str, Any]", json.loads(comment or ""))
        return BuildNote(
            built_at=datetime.fromisoformat(values["built_at"]),
            rows=int(values["rows"]),
            dimension=int(values["dimension"]),
            seconds=float(values["seconds"]),
            changes=int(values["changes"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
