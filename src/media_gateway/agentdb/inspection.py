"""What a file is, found out without changing it: its kind, its variant, and whether it is whole."""

import os
import sqlite3
import struct
from enum import StrEnum
from pathlib import Path
from typing import Final

from media_gateway.agentdb.faults import damaged, unwritable
from media_gateway.errors import FileFormatError

_MAGIC: Final = b"SQLite format 3\x00"
_HEADER_BYTES: Final = 100
_ANY_WRITE: Final = 0o222


class Variant(StrEnum):
    """Which of the tables a file came with: applications have three kinds."""

    PATTERNS = "patterns"
    """Only the two tables of patterns."""
    CONTROLLERS = "controllers"
    """Everything but the two tables of patterns."""
    COMPLETE = "complete"
    PARTIAL = "partial"
    """Some other selection."""
    EMPTY = "empty"
    """None yet."""


COLUMNS: Final[dict[str, frozenset[str]]] = {
    "reasoning_patterns": frozenset(
        {"id", "ts", "task_type", "approach", "success_rate", "uses", "avg_reward", "tags", "metadata"}
    ),
    "pattern_embeddings": frozenset({"pattern_id", "embedding"}),
    "episodes": frozenset(
        {"id", "ts", "session_id", "task", "input", "output", "critique", "reward", "success", "latency_ms"}
        | {"tokens_used", "tags", "metadata", "created_at"}
    ),
    "episode_embeddings": frozenset({"episode_id", "embedding", "embedding_model"}),
    "skills": frozenset(
        {"id", "name", "description", "signature", "code", "success_rate", "uses", "avg_reward", "avg_latency_ms"}
        | {"created_from_episode", "created_at", "updated_at", "last_used_at", "metadata"}
    ),
    "skill_embeddings": frozenset({"skill_id", "embedding", "embedding_model"}),
    "skill_links": frozenset({"id", "parent_skill_id", "child_skill_id", "relationship", "weight", "metadata"}),
    "causal_edges": frozenset(
        {"id", "from_memory_id", "from_memory_type", "to_memory_id", "to_memory_type", "similarity", "uplift"}
        | {"confidence", "sample_size", "evidence_ids", "experiment_ids", "confounder_score", "mechanism"}
        | {"created_at", "updated_at", "last_validated_at", "metadata"}
    ),
}
"""The columns that this program reads and writes; a file may have more."""
_PATTERN_TABLES: Final = frozenset({"reasoning_patterns", "pattern_embeddings"})


def check_header(path: Path, *, may_be_new: bool) -> None:
    """Look at the first bytes of *path* and at its size.

    Raises FileFormatError when there is nothing, or no SQLite file, or one that is cut off. A file that is not there
    or is empty will do where it *may_be_new*.
    """
    if path.is_dir():
        raise _not_agentdb(path, "a folder")
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            length = os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        if may_be_new:
            return
        raise FileFormatError(
            f"there is no file {path}; give the path of an AgentDB file", path=str(path), expected="an AgentDB file"
        ) from error
    except OSError as error:
        raise FileFormatError(
            f"{path} cannot be read: {error.strerror}; make it readable for this user", path=str(path)
        ) from error
    if not length:
        if may_be_new:
            return
        raise _not_agentdb(path, "an empty file")
    if not header.startswith(_MAGIC[: len(header)]):
        raise _not_agentdb(path, "no SQLite file")
    if len(header) < _HEADER_BYTES:
        raise damaged(path, f"it ends after {length} bytes")
    _check_length(path, header, length)


def _check_length(path: Path, header: bytes, length: int) -> None:
    # https://sqlite.org/fileformat.html, "The Database Header": the count is to be trusted when both numbers agree.
    (stored,) = struct.unpack_from(">H", header, 16)
    page = 65_536 if stored == 1 else stored
    change, pages = struct.unpack_from(">II", header, 24)
    (valid_for,) = struct.unpack_from(">I", header, 92)
    has_journal = path.with_name(path.name + "-journal").exists() or path.with_name(path.name + "-wal").exists()
    # With a journal beside it, the file may end anywhere: SQLite sets that right when it opens it.
    if change == valid_for and pages * page > length and not has_journal:
        raise damaged(path, f"it has {length:,} of {pages * page:,} bytes")


def check_writable(path: Path) -> None:
    """Raise StoreFullError when *path* or its folder may only be read."""
    folder = path.parent
    # Without a right to write for anybody the file was meant to stay as it is, whatever root may do.
    if path.exists() and (not os.access(path, os.W_OK) or not path.stat().st_mode & _ANY_WRITE):
        raise unwritable(path, "the file is read-only")
    if folder.exists() and not os.access(folder, os.W_OK):
        raise unwritable(path, "its folder is read-only, and SQLite keeps its journal there")


def check_contents(path: Path, connection: sqlite3.Connection, *, may_be_new: bool) -> None:
    """Raise FileFormatError when the file is damaged, or holds tables of another kind."""
    found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(1)")]
    if found != ["ok"]:
        raise damaged(path, found[0].replace("\n", " "))
    tables = table_names(connection)
    if not tables and may_be_new:
        return
    ours = tables & COLUMNS.keys()
    if not ours:
        given = ", ".join(sorted(tables)[:3]) or "no tables"
        raise _not_agentdb(path, f"an SQLite file with {given}")
    for table in sorted(ours):
        missing = COLUMNS[table] - _column_names(connection, table)
        if missing:
            raise _not_agentdb(path, f"an SQLite file whose table {table} lacks {', '.join(sorted(missing))}")


def table_names(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the file's tables, SQLite's own aside."""
    query = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return {str(row[0]) for row in connection.execute(query)}


def _column_names(connection: sqlite3.Connection, table: str) -> set[str]:
    return {str(row[0]) for row in connection.execute("SELECT name FROM pragma_table_info(?, 'main')", (table,))}


def variant_of(tables: set[str]) -> Variant:
    """Return the variant of a file that has *tables*."""
    ours = frozenset(name for name in COLUMNS if name in tables)
    if not ours:
        return Variant.EMPTY
    if ours == frozenset(COLUMNS):
        return Variant.COMPLETE
    if ours == _PATTERN_TABLES:
        return Variant.PATTERNS
    return Variant.CONTROLLERS if ours == frozenset(COLUMNS) - _PATTERN_TABLES else Variant.PARTIAL


def _not_agentdb(path: Path, given: str) -> FileFormatError:
    return FileFormatError(
        f"{path} is {given}, not an AgentDB file; it was left as it is: give the path of an AgentDB file",
        path=str(path),
        given=given,
        expected="an AgentDB file",
    )
