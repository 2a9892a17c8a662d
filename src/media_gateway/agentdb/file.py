"""An open AgentDB file: one connection, on one thread of its own.

sqlite3 blocks, and so does arithmetic on a hundred thousand vectors; both leave the event loop for this thread. Calls
are done in the order in which they were made, so that no other lock is needed inside a process.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Self, TypeVar
from urllib.parse import quote

from media_gateway.agentdb import schema
from media_gateway.agentdb.faults import faults_of
from media_gateway.agentdb.inspection import (
    Variant,
    check_contents,
    check_header,
    check_writable,
    table_names,
    variant_of,
)
from media_gateway.agentdb.lock import writer_lock
from media_gateway.errors import StoreError, UnsupportedError
from media_gateway.whole_files import FileLock

_T = TypeVar("_T")

_BUSY_SECONDS: Final = 5.0
"""How long a statement waits for another program's transaction, which is short in a well-behaved one."""
_READ_VERSION: Final = 19
_WAL: Final = b"\x02"
"""What the header has at that place when the file keeps a write-ahead log (https://sqlite.org/fileformat.html)."""


class AgentFile:
    """The connection, its thread, and the lock of a writer. Made by `open`."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self.variant = Variant.EMPTY
        """What the file was before its missing tables were made."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agentdb")
        self._lock: FileLock | None = None
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    @classmethod
    async def open(cls, path: Path, *, read_only: bool, create: bool) -> Self:
        """Open the file at *path*; see `open_agentdb` for what is refused."""
        file = cls(path, read_only=read_only)
        try:
            await file._call(lambda: file._open(create=create and not read_only))
        except BaseException:
            await file.aclose()
            raise
        return file

    async def run(self, work: Callable[[sqlite3.Connection], _T], doing: str = "read") -> _T:
        """Return what *work* returns, done on the file's thread; its errors come as those of `faults_of`.

        A caller that is cancelled meanwhile does not stop it: a transaction that has begun ends.
        """

        def guarded() -> _T:
            with faults_of(self.path, doing):
                return work(self._opened())

        return await self._call(guarded)

    async def write(self, work: Callable[[sqlite3.Connection], _T], then: Callable[[_T], None] | None = None) -> _T:
        """Return what *work* returns, done in one transaction: wholly, or on any error not at all.

        *then* is told of it once it is committed, before anything else is done with the file. Raises UnsupportedError
        when the file is open for reading only.
        """
        self.check_may_write()

        def inside(connection: sqlite3.Connection) -> _T:
            with transaction(connection):
                done = work(connection)
            if then is not None:
                then(done)
            return done

        return await self.run(inside, "write to")

    def check_may_write(self) -> None:
        """Raise UnsupportedError when the file is open for reading only."""
        if self.read_only:
            raise UnsupportedError(
                f"{self.path} is open for reading only; open it with read_only=False to write",
                feature="write",
                store="agentdb",
            )

    async def aclose(self) -> None:
        """Close the connection and give the lock back; twice does no harm."""
        if self._closed:
            return
        self._closed = True
        await asyncio.shield(asyncio.wrap_future(self._thread.submit(self._close)))
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[], _T]) -> _T:
        if self._closed:
            raise StoreError(f"{self.path} is closed; open it again")
        return await asyncio.wrap_future(self._thread.submit(work))

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self.path} is closed; open it again")
        return self._connection

    def _open(self, *, create: bool) -> None:
        with faults_of(self.path, "open"):
            check_header(self.path, may_be_new=create)
            # Looked at before anything is made beside it, which a file of another kind is to be spared.
            if self.path.exists() and self.path.stat().st_size:
                with closing(_connected(self.path, read_only=True)) as connection:
                    check_contents(self.path, connection, may_be_new=create)
            if not self.read_only:
                if create:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                check_writable(self.path)
                self._lock = writer_lock(self.path)
            self._connection = _connected(self.path, read_only=self.read_only)
            self.variant = variant_of(table_names(self._connection))
            if self.read_only:
                schema.lend(self._connection)
                self._connection.execute("PRAGMA query_only = ON")
            else:
                _leave_wal(self._connection)
                schema.complete(self.path, self._connection)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[None]:
    """Commit what the block writes, or on any error undo it. The file is locked for writing from the start."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _connected(path: Path, *, read_only: bool) -> sqlite3.Connection:
    # A reader may have to undo what a killed writer began, as every reader of SQLite does; so it opens the file for
    # writing where it can, and then forbids itself to write.
    may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    mode = "rwc" if not read_only else "rw" if _has_journal(path) and may_write else "ro"
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=_BUSY_SECONDS,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cell_size_check = ON")
    # 64 MiB: what is written lands all over the indexes, whose pages would be read again each time.
    connection.execute("PRAGMA cache_size = -65536")
    return connection


def _has_journal(path: Path) -> bool:
    with path.open("rb") as file:
        version = file.read(_READ_VERSION + 1)[_READ_VERSION:]
    return version == _WAL or path.with_name(path.name + "-journal").exists()


def _leave_wal(connection: sqlite3.Connection) -> None:
    """Bring a file that keeps a write-ahead log to a rollback journal: beside a log, npm sees no tables."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode == "wal":
        connection.execute("PRAGMA journal_mode = DELETE")
