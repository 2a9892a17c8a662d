"""Files that several processes, and now and then root, share with the owner of their folder."""

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Generator
from pathlib import Path

_PAUSE = 0.05


@contextlib.contextmanager
def locked(path: Path, deadline: float) -> Generator[int | None]:
    """Hold the lock on the file *path*, waiting for it until the monotonic time *deadline*.

    Gives the descriptor that holds it, to this process and to all that inherit it, or None when it was not got.
    """
    descriptor = _open_lock(path)
    try:
        got = _try_lock(descriptor)
        while not got and time.monotonic() < deadline:
            time.sleep(_PAUSE)
            got = _try_lock(descriptor)
        yield descriptor if got else None
    finally:
        os.close(descriptor)


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace the file at *path* by one with *text* and *mode*, wholly or not at all.

    Under root it goes to the owner of the folder, who may be the one to use it next.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123  a descriptor
            _give(descriptor, path.parent)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(path: Path) -> str | None:
    """Return the text of the file at *path*, None when there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def appending(path: Path) -> Generator[int]:
    """Give a descriptor that adds to the file at *path*, made with mode 0600; no symbolic link is followed."""
    if not path.exists():
        write(path, "", 0o600)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    # Made exclusively, never replaced: else two processes could each lock a file of their own.
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        _give(descriptor, path.parent)
        os.close(descriptor)
    return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _give(descriptor: int, folder: Path) -> None:
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
