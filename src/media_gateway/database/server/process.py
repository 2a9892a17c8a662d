"""The server's processes: whether they live, how they are started and asked to end.

A pid alone proves nothing, since numbers are used again; what /proc tells about the process has to fit as well.
"""

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from media_gateway.database.server.identity import Identity

_PORT, _ADDRESS, _STATUS = 3, 5, 7  # lines of postmaster.pid, miscadmin.h of PostgreSQL
_NO_PROCESS = 2**31 - 1  # beyond the kernel's largest pid, 2**22


@dataclass(frozen=True, kw_only=True)
class Postmaster:
    """A server's first process as its postmaster.pid describes it; it was alive when this was read.

    *listens* tells whether it also takes TCP connections on *port*.
    """

    pid: int
    port: int | None
    listens: bool
    status: Literal["starting", "ready", "stopping"]


def find(data: Path) -> Postmaster | None:
    """Return the living server of the data folder *data*, or None.

    A process that ended, one that waits to be reaped, and another program that got the same pid do not count.
    """
    lines = _lines(data)
    pid = _integer(lines, 0)
    if pid is None or not _serves(pid, data):
        return None
    word = _word(lines, _STATUS)
    status = "ready" if word in {"ready", "standby"} else "stopping" if word == "stopping" else "starting"
    return Postmaster(pid=pid, port=_integer(lines, _PORT), listens=bool(_word(lines, _ADDRESS)), status=status)


def spawn(identity: Identity, program: Path, arguments: list[str | Path], *, log: int, hold: int) -> int:
    """Start the server *program* as an orphan in a session of its own and return its pid.

    It writes to the descriptor *log* and keeps *hold* open. A shell stands between, so that the server is no child of
    this process: no signal of the terminal reaches it, and nobody has to wait for it.
    """
    shell = ["/bin/sh", "-c", 'exec "$@" >&2 & echo $!', "sh", *identity.command(program, *arguments)]
    done = subprocess.run(  # noqa: S603  the words are arguments of the shell, none is read as its language
        shell, **identity.options(), stdout=subprocess.PIPE, stderr=log, pass_fds=(hold,), check=True, text=True
    )
    return int(done.stdout)


def is_alive(pid: int) -> bool:
    """Whether a process with this *pid* exists and is more than an entry that waits to be reaped."""
    return _state(pid)[0] not in {"Z", "X", ""}


def interrupt(postmaster: Postmaster) -> None:
    """Ask the server for a fast shutdown: transactions are rolled back, everything committed is written."""
    _signal(postmaster.pid, signal.SIGINT)


def retire(data: Path) -> None:
    """Make a stale postmaster.pid harmless; call it only when `find` returned None and no one else can start.

    PostgreSQL takes any living process with that pid for a server and refuses to start. The rest of the file stays,
    for by the memory segment named there PostgreSQL still notices processes that a killed server left behind.
    """
    path = data / "postmaster.pid"
    lines = _lines(data)
    if _integer(lines, 0) is None:
        path.unlink(missing_ok=True)
        return
    lines[0] = str(_NO_PROCESS)
    with path.open("r+", encoding="utf-8", errors="surrogateescape") as file:
        file.write("\n".join([*lines, ""]))
        file.truncate()


def dismiss_leftovers(data: Path) -> None:
    """End the processes that a killed server left at work on *data*, as PostgreSQL does itself after a crash.

    They can be of no use to anybody any more, yet one that builds an index looks up only when it is done.
    """
    for entry in Path("/proc").iterdir():
        pid = int(entry.name) if entry.name.isdigit() else 0
        if pid and _working_folder(pid) == data and _words(pid)[0].startswith("postgres:"):
            parent = _state(pid)[1]
            if not (parent.isdigit() and _serves(int(parent), data)):
                _signal(pid, signal.SIGQUIT)


def _serves(pid: int, data: Path) -> bool:
    if not is_alive(pid):
        return False
    words = _words(pid)
    # Emulators of another processor stand before the program's own words.
    is_server = any(Path(word).name == "postgres" for word in words[:3])
    return is_server and (str(data) in words[1:] or _working_folder(pid) == data)


def _words(pid: int) -> list[str]:
    """Return the command line of *pid*; PostgreSQL's child processes write one text of their own over it."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).rstrip("\0").split("\0")
    except OSError:
        return [""]


def _working_folder(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def _state(pid: int) -> tuple[str, str]:
    """Return the letter of the process's state and the pid of its parent, both empty when there is no such process."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return "", ""
    return state, parent


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _lines(data: Path) -> list[str]:
    try:
        return (
            (data / "postmaster.pid")
            .read_text(encoding="utf-8", errors="surrogateescape")
            .removesuffix("\n")
            .split("\n")
        )
    except FileNotFoundError:
        return []


def _word(lines: list[str], at: int) -> str:
    return lines[at].strip() if at < len(lines) else ""


def _integer(lines: list[str], at: int) -> int | None:
    text = _word(lines, at)
    return int(text) if text.isdecimal() and int(text) > 0 else None
