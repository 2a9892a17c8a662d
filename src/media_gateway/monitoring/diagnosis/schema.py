"""The tables: whether they are there, as this program made them, and of the release that it is."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, LiteralString

from media_gateway.database.schema import known_migrations
from media_gateway.monitoring.diagnosis.findings import RESTORE, Finding, Kind
from media_gateway.monitoring.diagnosis.view import ServerView

MISSING: Final = Kind(
    code="schema_missing", severity="error", matters="there is no table to search; the first load makes it too"
)
FOREIGN: Final = Kind(
    code="schema_foreign",
    severity="error",
    matters="a table that this program did not make is in the way of its own, so nothing can be stored",
)
BEHIND: Final = Kind(
    code="schema_behind", severity="error", matters="this program asks for what is not there yet, and refuses to open"
)
EDITED: Final = Kind(
    code="schema_edited",
    severity="error",
    matters="nobody knows what the tables really are, so they are not opened",
)
NEWER: Final = Kind(
    code="schema_newer", severity="error", matters="an older program could write what the newer one cannot read"
)
COLUMN_GONE: Final = Kind(
    code="column_gone",
    severity="error",
    matters="the migrations are on record, but what they made was dropped; with a column its data is gone",
)
KINDS: Final = (MISSING, FOREIGN, BEHIND, EDITED, NEWER, COLUMN_GONE)

_THERE: Final[LiteralString] = """
SELECT to_regclass('content_schema_history') IS NOT NULL, to_regclass('content_vectors') IS NOT NULL
"""
_HISTORY: Final[LiteralString] = "SELECT version, name, sha256 FROM content_schema_history ORDER BY version"
_GONE: Final[LiteralString] = """
SELECT table_name, column_name
FROM unnest(%(tables)s::text[], %(columns)s::text[]) WITH ORDINALITY AS wanted (table_name, column_name, place)
WHERE to_regclass(table_name) IS NULL OR NOT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = to_regclass(table_name) AND attname = column_name AND NOT attisdropped)
ORDER BY to_regclass(table_name) IS NOT NULL, place
"""
_SHOWN: Final = 3
_TABLE: Final = re.compile(r"^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?(\w+) \((.*?)^\)", re.MULTILINE | re.DOTALL)
_COLUMN: Final = re.compile(r"^ {4}([a-z]\w*) ", re.MULTILINE)
_DROPPED: Final = re.compile(r"^DROP TABLE (?:IF EXISTS )?(\w+)", re.MULTILINE)


async def examine(view: ServerView) -> list[Finding]:
    """Return what is wrong with the schema."""
    has_history, has_table = await view.row(_THERE)
    if not has_history:
        return [_unmade(has_table=has_table, server=view.server)]
    found = judged(await view.rows(_HISTORY))
    if found:
        return found
    wanted = wanted_columns()
    values = {"tables": [table for table, _ in wanted], "columns": [column for _, column in wanted]}
    gone = await view.rows(_GONE, values)
    return [_gone(gone)] if gone else []


@cache
def wanted_columns() -> list[tuple[str, str]]:
    """Return table and name of every column that the migrations make in their CREATE TABLE statements."""
    texts = [migration.text for migration in known_migrations()]
    dropped = {name for text in texts for name in _DROPPED.findall(text)}
    return [
        (table, column)
        for text in texts
        for table, body in _TABLE.findall(text)
        if table not in dropped
        for column in _COLUMN.findall(body)
    ]


def judged(history: Sequence[tuple[Any, ...]]) -> list[Finding]:
    """Return how the versions, names and checksums in *history* differ from the migrations of this program."""
    known = {migration.version: migration for migration in known_migrations()}
    newer = [f"{version} ({name})" for version, name, _ in history if version not in known]
    if newer:
        return [
            NEWER.found(
                f"the database has the migrations {', '.join(newer)}, which this program does not know",
                "install the media-gateway that made them, or a newer one",
            )
        ]
    edited = [f"{version} ({name})" for version, name, sha256 in history if known[version].sha256 != sha256]
    if edited:
        return [
            EDITED.found(
                f"the migrations {', '.join(edited)} have other checksums than those that were applied here",
                "install the media-gateway that applied them; never edit a released migration",
            )
        ]
    applied = {version for version, _, _ in history}
    pending = [f"{version} ({one.name})" for version, one in known.items() if version not in applied]
    if not applied:
        return [_unmade(has_table=False, server="the database")]
    if pending:
        seen = f"the migrations {', '.join(pending)} are not applied"
        return [BEHIND.found(seen, "media-gateway db migrate", fix="migrate")]
    return []


def _unmade(*, has_table: bool, server: str) -> Finding:
    if has_table:
        return FOREIGN.found(
            f"{server} has a table content_vectors and no history of migrations",
            "CREATE SCHEMA before; ALTER TABLE content_vectors SET SCHEMA before; then media-gateway db migrate",
        )
    return MISSING.found(f"{server} has no table of ours yet", "media-gateway db migrate", fix="migrate")


def _gone(columns: Sequence[tuple[Any, ...]]) -> Finding:
    names = [f"{table}.{column}" for table, column in columns]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    seen = f"columns that the migrations made are gone: {', '.join(names[:_SHOWN])}{more}"
    return COLUMN_GONE.found(seen, f"{RESTORE}; without one, load anew into an empty database", subject=names[0])
