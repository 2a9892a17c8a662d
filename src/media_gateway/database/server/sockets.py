"""The private folder of the server's Unix socket.

It cannot lie with the data: a socket's path is limited to 107 bytes, and libpq takes commas in a host for a list.
"""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from media_gateway.database.server import files as server_files
from media_gateway.database.server.folder import ServerFolder
from media_gateway.database.server.identity import Identity

PORT = 5432
"""The number in the socket's name while the server listens on no TCP port."""

_PATH_LIMIT = 107  # sizeof(sockaddr_un.sun_path) less the closing NUL, on Linux
_LONGEST_NAME = "/.s.PGSQL.65535.lock"
_UNSAFE = set(",'\"\\ \t\n")
_ATTEMPTS = 16


def socket_file(folder: Path, port: int) -> Path:
    """Return the path of the socket that a server with *port* makes in *folder*."""
    return folder / f".s.PGSQL.{port}"


def place(folder: ServerFolder, owner: tuple[int, int] | None) -> Path:
    """Return where the socket is or, before the first start, will be as long as nobody else takes the name.

    *owner* is the (uid, gid) that the data belongs to.
    """
    recorded = server_files.read(folder.socket_record)
    return Path(recorded) if recorded else next(iter(candidates(folder.data, owner[0] if owner else os.geteuid())))


def clear(folder: Path) -> None:
    """Remove what a killed server left; PostgreSQL refuses to start when the pid named there lives again."""
    for path in folder.glob(".s.PGSQL.*"):
        path.unlink(missing_ok=True)


def candidates(data_folder: Path, uid: int) -> list[Path]:
    """Return the folders to try for the server of *uid* on *data_folder*, the same ones in the same order each time.

    There are several since on a machine of many users anybody may have taken the name of one.
    """
    mark = hashlib.sha256(os.fsencode(data_folder)).hexdigest()[:12]
    name = f"media-gateway-{uid}-{mark}"
    bases = [base for base in dict.fromkeys((tempfile.gettempdir(), "/tmp")) if _is_usable(Path(base) / name)]  # noqa: S108  names are checked for owner and mode
    return [
        Path(base) / (name if attempt == 0 else f"{name}-{attempt}") for base in bases for attempt in range(_ATTEMPTS)
    ]


def is_private(path: Path, uid: int) -> bool:
    """Whether *path* is a folder of *uid*, no symbolic link, that nobody else can enter."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == uid and not status.st_mode & 0o077


def prepare(folder: ServerFolder, identity: Identity) -> Path:
    """Return a private folder for the socket, made where it is missing, and record it.

    The one recorded by an earlier start is taken again while it is this folder's, so that clients who know it find
    the server there after a restart. Raises ServerStartError when each candidate is in other hands.
    """
    recorded = server_files.read(folder.socket_record)
    choices = candidates(folder.data, identity.uid)
    if recorded and _is_one_of_ours(Path(recorded), choices):
        choices.insert(0, Path(recorded))
    for path in choices:
        if _make(path, identity) or is_private(path, identity.uid):
            if str(path) != recorded:
                server_files.write(folder.socket_record, str(path))
            return path
    raise folder.error(
        f"finds no private folder for its socket: expected one such as {choices[0]} that belongs to uid {identity.uid} "
        "with mode 0700; remove what bears these names, or set TMPDIR to a short path"
    )


def _is_one_of_ours(recorded: Path, choices: list[Path]) -> bool:
    # A data folder that was copied carries the record of the original, whose server may be running.
    return any(recorded.name == choice.name for choice in choices) and _is_usable(recorded)


def _is_usable(path: Path) -> bool:
    longest = len(os.fsencode(path)) + len(f"-{_ATTEMPTS}") + len(_LONGEST_NAME)
    return path.is_absolute() and longest <= _PATH_LIMIT and str(path).isascii() and not _UNSAFE & set(str(path))


def _make(path: Path, identity: Identity) -> bool:
    try:
        path.mkdir(mode=0o700)
    except OSError:
        return False
    identity.own(path)
    return True
