"""Files that appear whole or not at all."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from media_gateway.errors import StoreError, StoreFullError
from media_gateway.whole_files import CANNOT_WRITE, replacing


@contextmanager
def written_whole(path: Path) -> Generator[BinaryIO]:
    """Yield a file that becomes *path*, durably and in one step, when the block ends; on any error *path* stays.

    Raises StoreFullError where there is no space or no right to write, and StoreError for other faults of the system.
    """
    # A name of this process's own: two may write the same file at once.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, temporary=temporary) as file:
            yield file
    except OSError as error:
        raise fault(error, path) from error


def fault(error: OSError, path: Path) -> StoreError:
    """Return our error for the system's *error*, met while writing *path*."""
    message = f"cannot write {path}: {error.strerror or error}"
    if error.errno in CANNOT_WRITE:
        return StoreFullError(f"{message}; nothing was changed there: free space, or choose another place")
    return StoreError(message)
