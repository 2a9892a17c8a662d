"""Files that appear whole or not at all."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from media_gateway.errors import StoreError, StoreFullError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})


@contextmanager
def written_whole(path: Path) -> Generator[BinaryIO]:
    """Yield a file that becomes *path*, durably and in one step, when the block ends; on any error *path* stays.

    Raises StoreFullError where there is no space or no right to write, and StoreError for other faults of the system.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise fault(error, path) from error
    finally:
        # Replaced or not: what is still there is half a file.
        with suppress(OSError):
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fault(error: OSError, path: Path) -> StoreError:
    """Return our error for the system's *error*, met while writing *path*."""
    message = f"cannot write {path}: {error.strerror or error}"
    if error.errno in _FULL:
        return StoreFullError(f"{message}; nothing was changed there: free space, or choose another place")
    return StoreError(message)
