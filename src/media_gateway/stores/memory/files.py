"""The writer's lock of a memory store, and the system's errors as ours."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from media_gateway.errors import StoreError, StoreFullError, StoreLockedError
from media_gateway.whole_files import CANNOT_WRITE, FileLock


@contextmanager
def faults_of(path: Path, doing: str) -> Generator[None]:
    """Raise the system's errors as StoreFullError (no space, read-only, not allowed) or StoreError, naming *path*."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot {doing} {path}: {reason}"
        if error.errno in CANNOT_WRITE:
            raise StoreFullError(
                f"{message}; nothing was changed: free space, or set RUVECTOR_MEMORY_PATH to a folder that can be written"
            ) from error
        raise StoreError(message) from error


class WriterLock:
    """The right to write to a memory store's files: one holder at a time, given back by `release` or by death."""

    def __init__(self, path: Path) -> None:
        """Take the lock of the store at *path*, or raise StoreLockedError naming the process that has it."""
        place = path.with_name(path.name + ".lock")
        try:
            with faults_of(place, "take the lock file"):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = FileLock(place)
        except StoreError as error:
            if not isinstance(error.__cause__, BlockingIOError):
                raise
            raise StoreLockedError(
                f"{path} is being written by {error.__cause__.strerror}; stop it, or open the store for reading only",
                path=str(path),
            ) from error.__cause__

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()
