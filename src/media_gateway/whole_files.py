"""Files that appear whole or not at all, names that last, and a lock that says who holds it."""

import errno
import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

CANNOT_WRITE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})
"""Errors of the system that mean no space, or no right to write."""


@contextmanager
def replacing(path: Path, *, temporary: Path | None = None, synced: bool = True) -> Generator[BinaryIO]:
    """Yield a file that becomes *path* in one step when the block ends; on any error *path* stays as it was.

    It is written as *temporary*, beside *path* by default: what a killed process left there is written over. With
    *synced* a loss of power changes nothing either. Raises the system's errors.
    """
    temporary = temporary or path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            if synced:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if synced:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FileLock:
    """The lock file at *path*: one holder at a time, given back by `release` or by the end of the process.

    Raises BlockingIOError, whose strerror names the process that holds it, and the system's other errors.
    """

    def __init__(self, path: Path) -> None:
        # Not truncated: the present holder's number is in there.
        self._file = path.open("a+b", buffering=0)
        try:
            # flock belongs to the open file, so that a second holder in the same process is refused too.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n".encode())
        except BlockingIOError as error:
            holder = os.pread(self._file.fileno(), 32, 0).decode("ascii", "replace").strip()
            self._file.close()
            named = f"process {holder}" if holder.isdigit() else "another process"
            raise BlockingIOError(error.errno, named, str(path)) from error
        except OSError:
            self._file.close()
            raise

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it would race with the next holder."""
        self._file.close()


def holder_of(path: Path) -> str | None:
    """Return who holds the `FileLock` at *path*, for example "process 4711", or None where nobody does."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                number = file.read(32).decode("ascii", "replace").strip()
                return f"process {number}" if number.isdigit() else "another process"
    except FileNotFoundError:
        return None
    return None
