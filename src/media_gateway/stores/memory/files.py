"""Files that survive a crash: the writer's lock, atomic replacement, and the system's errors as ours."""

import errno
import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from media_gateway.errors import StoreError, StoreFullError, StoreLockedError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})


@contextmanager
def faults_of(path: Path, doing: str) -> Generator[None]:
    """Raise the system's errors as StoreFullError (no space, read-only, not allowed) or StoreError, naming *path*."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot {doing} {path}: {reason}"
        if error.errno in _FULL:
            raise StoreFullError(
                f"{message}; nothing was changed: free space, or set RUVECTOR_MEMORY_PATH to a folder that can be written"
            ) from error
        raise StoreError(message) from error


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Yield a file that becomes *path*, durably and in one step, when the block ends; on any error *path* stays."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


class WriterLock:
    """The right to write to a memory store's files: one holder at a time, given back by `release` or by death."""

    def __init__(self, path: Path) -> None:
        """Take the lock of the store at *path*, or raise StoreLockedError naming the process that has it."""
        place = path.with_name(path.name + ".lock")
        with faults_of(place, "create the lock file"):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not truncated: the present holder's number is in there. Closed with this object, should its owner be lost.
            self._file = place.open("a+b", buffering=0)
        try:
            # flock belongs to the open file, so that a second store in the same process is refused too.
            with faults_of(place, "lock"):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with faults_of(place, "write to the lock file"):
                self._file.truncate(0)
                self._file.write(f"{os.getpid()}\n".encode())
        except StoreError as error:
            holder = os.pread(self._file.fileno(), 32, 0).decode("ascii", "replace").strip()
            self._file.close()
            if not isinstance(error.__cause__, BlockingIOError):
                raise
            named = f"process {holder}" if holder.isdigit() else "another process"
            raise StoreLockedError(
                f"{path} is being written by {named}; stop it, or open the store for reading only", path=str(path)
            ) from error.__cause__

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it would race with the next holder."""
        self._file.close()
