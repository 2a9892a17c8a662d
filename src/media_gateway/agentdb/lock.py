"""The right to write to an AgentDB file: a lock file beside it, held as long as its process lives."""

import errno
from pathlib import Path
from typing import Final

from media_gateway.agentdb.faults import held, unwritable
from media_gateway.whole_files import FileLock

_REFUSED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}


def writer_lock(path: Path) -> FileLock:
    """Return the lock of the file at *path*, taken.

    Raises StoreLockedError naming the process that has it, StoreFullError where no lock file can be made.
    """
    place = path.with_name(path.name + ".lock")
    try:
        return FileLock(place)
    except BlockingIOError as error:
        raise held(path, error.strerror or "another process") from error
    except OSError as error:
        if error.errno in _REFUSED:
            raise unwritable(path, f"{place.name}: {error.strerror}") from error
        raise
