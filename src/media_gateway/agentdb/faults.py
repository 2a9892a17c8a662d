"""The errors of SQLite and of the system as ours, each one sentence that names the file."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from media_gateway.errors import FileFormatError, SchemaError, StoreError, StoreFullError, StoreLockedError

_PRIMARY: Final = 0xFF
"""The low byte of SQLite's extended result codes is the code proper (https://sqlite.org/rescode.html)."""
_HELD: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_UNWRITABLE: Final = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}


@contextmanager
def faults_of(path: Path, doing: str) -> Generator[None]:
    """Raise SQLite's errors while *doing* something with *path* as ours; what was begun is undone by then.

    StoreLockedError when another program holds the file, StoreFullError when there is no space or no right to write,
    FileFormatError for a damaged file, SchemaError for tables of another make, StoreError for the rest.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, path, doing) from error
    except OSError as error:
        raise StoreError(f"cannot {doing} {path}: {error.strerror or error}; nothing was changed") from error


def _translated(error: sqlite3.Error, path: Path, doing: str) -> Exception:
    # Errors that Python's module raises by itself carry no code.
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    if code in _HELD:
        return held(path, "another program")
    if code in _DAMAGED:
        return damaged(path, str(error))
    if code == sqlite3.SQLITE_FULL:
        return StoreFullError(f"cannot {doing} {path}: no space is left; nothing was changed: free space and try again")
    if code in _UNWRITABLE:
        return unwritable(path, str(error))
    if code == sqlite3.SQLITE_ERROR and "no such" in str(error):
        return SchemaError(f"{path} has not the tables of AgentDB as this program knows them: {error}")
    return StoreError(f"cannot {doing} {path}: {error}; nothing was changed")


def held(path: Path, holder: str) -> StoreLockedError:
    """Return the error for a file that *holder* writes to."""
    return StoreLockedError(
        f"{path} is held by {holder}; one writer at a time: close it there, or open the file for reading only",
        path=str(path),
    )


def damaged(path: Path, reason: str) -> FileFormatError:
    """Return the error for an SQLite file that is cut off or damaged."""
    return FileFormatError(
        f"{path} is a damaged SQLite file ({reason}); restore a copy of it: it was left as it is",
        path=str(path),
        given=reason,
        expected="an intact SQLite file",
    )


def unwritable(path: Path, reason: str) -> StoreFullError:
    """Return the error for a file that may only be read."""
    return StoreFullError(
        f"{path} cannot be written ({reason}); nothing was changed: open it for reading only, or make file and folder "
        "writable"
    )
