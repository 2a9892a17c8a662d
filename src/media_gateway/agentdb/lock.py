"""The right to write to an AgentDB file: a lock file beside it, held as long as its process lives."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from media_gateway.agentdb.faults import held, unwritable

_REFUSED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}


class WriterLock:
    """One holder at a time; given back by `release` or by the end of the process."""

    def __init__(self, path: Path) -> None:
        """Take the lock of the file at *path*.

        Raises StoreLockedError naming the process that has it, StoreFullError where no lock file can be made.
        """
        place = path.with_name(path.name + ".lock")
        try:
            # Not truncated: the present holder's number is in there.
            self._file = place.open("a+b", buffering=0)
        except OSError as error:
            if error.errno in _REFUSED:
                raise unwritable(path, f"{place.name}: {error.strerror}") from error
            raise
        try:
            # flock belongs to the open file, so that a second opening in the same process is refused too.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._file.fileno(), 32, 0).decode("ascii", "replace").strip()
            self._file.close()
            raise held(path, f"process {holder}" if holder.isdigit() else "another process") from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give the lock back; the lock file stays, since removing it would race with the next holder."""
        self._file.close()
