"""Making an AgentDB file whole: the tables that are missing, and our own additions, in one transaction."""

import hashlib
import re
import sqlite3
import time
from pathlib import Path
from typing import Final

from media_gateway.agentdb.inspection import COLUMNS, table_names
from media_gateway.agentdb.statements import additions, base_script
from media_gateway.errors import SchemaError

_HISTORY: Final = """
CREATE TABLE gateway_schema (
    name TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    applied_at INTEGER NOT NULL
)
"""
_MADE: Final = re.compile(r"CREATE (?:TABLE|INDEX|TRIGGER) (?:IF NOT EXISTS )?(\w+)")
_TABLE: Final = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+) \(.*?^\);", re.DOTALL | re.MULTILINE)


def complete(path: Path, connection: sqlite3.Connection) -> None:
    """Make what is missing in the file; one that is whole is not written to.

    Raises SchemaError when the additions in the file are newer than this program, or were edited.
    """
    there = _names(connection)
    base = base_script()
    pending = _pending(path, connection, there)
    if not pending and there >= set(_MADE.findall(base)):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _run(connection, base)
        if "gateway_schema" not in there:
            connection.execute(_HISTORY)
        for name, text in pending:
            _run(connection, text)
            row = (name, _digest(text), int(time.time()))
            connection.execute("INSERT INTO gateway_schema (name, sha256, applied_at) VALUES (?, ?, ?)", row)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def lend(connection: sqlite3.Connection) -> None:
    """Give a connection that only reads empty temporary tables for those that the file lacks."""
    there = table_names(connection)
    for text in (base_script(), *(text for _, text in additions())):
        for made in _TABLE.finditer(text):
            if made[1] not in there:
                connection.execute(re.sub(r"^CREATE TABLE (?:IF NOT EXISTS )?", "CREATE TEMP TABLE ", made[0]))


def _pending(path: Path, connection: sqlite3.Connection, there: set[str]) -> list[tuple[str, str]]:
    known = dict(additions())
    applied: dict[str, str] = {}
    if "gateway_schema" in there:
        applied = dict(connection.execute("SELECT name, sha256 FROM gateway_schema").fetchall())
    for name, digest in applied.items():
        if name not in known:
            raise SchemaError(f"{path} was written by a newer version of this program ({name}); update it")
        if digest != _digest(known[name]):
            raise SchemaError(f"{path} has another {name} than this program; install the version that wrote the file")
    return [(name, text) for name, text in known.items() if name not in applied]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _names(connection: sqlite3.Connection) -> set[str]:
    return {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master")}


def _run(connection: sqlite3.Connection, script: str) -> None:
    # Not executescript, which commits the transaction that is open.
    part = ""
    for line in script.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            connection.execute(part)
            part = ""


if not COLUMNS.keys() <= set(_MADE.findall(base_script())):
    raise RuntimeError("sql/base.sql does not make every table that is read and written")
