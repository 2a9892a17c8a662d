"""Small files that survive a crash."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from media_gateway.errors import StoreFullError
from media_gateway.whole_files import replacing


@contextmanager
def disk_faults(path: Path) -> Generator[None]:
    """Raise the system's errors as StoreFullError that names *path*."""
    try:
        yield
    except OSError as error:
        raise StoreFullError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed: free space, or set "
            "RUVECTOR_MEMORY_PATH to a folder that can be written"
        ) from error


def replace_file(path: Path, content: bytes, *, synced: bool = True) -> None:
    """Give *path* the *content*, in one step; *synced* also against a loss of power."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, synced=synced) as file:
        file.write(content)


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the lock beside *path* for the block: one process at a time reads, changes and replaces the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
