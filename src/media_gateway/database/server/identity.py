"""Who the embedded PostgreSQL runs as, since it refuses to run as root."""

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from media_gateway.database.server import binaries as server_binaries
from media_gateway.database.server import launch as server_launch
from media_gateway.errors import ServerStartError

_UNPRIVILEGED = 65534  # "nobody" on every Linux distribution; the kernel's own overflow uid


@dataclass(frozen=True, kw_only=True)
class Identity:
    """How the server's processes are started: as they are, in a user namespace, or as another user.

    *uid* and *gid* own the data as files outside see it; *inside* is the number borne in a namespace.
    """

    kind: Literal["self", "namespace", "user"]
    uid: int
    gid: int
    inside: int = 0

    def command(self, program: Path, *arguments: str | Path) -> list[str | Path]:
        """Return the command that runs *program* under this identity; start it with `options`."""
        if self.kind != "namespace":
            return [program, *arguments]
        launcher = Path(server_launch.__file__)
        return [sys.executable, "-I", "-S", launcher, str(self.inside), program, *arguments]

    def options(self) -> dict[str, Any]:
        """Return the arguments of `subprocess.Popen` that belong to `command`."""
        options: dict[str, Any] = {
            "env": server_binaries.CLEAN_ENVIRONMENT,
            "cwd": "/",
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
        }
        if self.kind == "user":
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def own(self, path: Path) -> None:
        """Give *path*, which this process has just made, to the user that the server runs as."""
        if self.kind == "user":
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def choose(folder: Path, *, data_owner: tuple[int, int] | None, allow_namespace: bool = True) -> Identity:
    """Return the identity for the server in *folder*, whose data belongs to *data_owner* (uid, gid) when there is any.

    An ordinary user is that user. Root runs the server in a namespace of its own, and where the system grants none
    (*allow_namespace* False stands for that) as `nobody`, or as the owner of data that is not root's. Raises
    ServerStartError when that user can reach the programs or the folder not at all.
    """
    uid, gid = os.geteuid(), os.getegid()
    owner = data_owner or (uid, gid)
    if uid != 0:
        if owner[0] != uid:
            raise ServerStartError(
                f"the data in {folder} belongs to the user {_name(owner[0])}, and you are {_name(uid)}; "
                "run as that user, or choose another folder with RUVECTOR_EMBEDDED_PATH",
                folder=str(folder),
            )
        own = Identity(kind="self", uid=uid, gid=gid)
        # initdb insists on a name for its user, and a container started with any uid has none.
        return own if _has_name(uid) else _namespace(uid, gid, allowed=allow_namespace)[0] or own
    if owner[0] != 0:
        return _reaching(Identity(kind="user", uid=owner[0], gid=owner[1]), folder, "the data belongs to that user")
    identity, refusal = _namespace(uid, gid, allowed=allow_namespace)
    if identity is not None:
        return identity
    folder.chmod(folder.stat().st_mode | 0o011)  # to pass through, not to look into; the folders above stay as they are
    return _reaching(Identity(kind="user", uid=_UNPRIVILEGED, gid=_UNPRIVILEGED), folder, refusal)


def _namespace(uid: int, gid: int, *, allowed: bool) -> tuple[Identity | None, str]:
    if not allowed:
        return None, "no user namespace: not allowed by the caller"
    inside = next((entry.pw_uid for entry in pwd.getpwall() if 0 < entry.pw_uid < _UNPRIVILEGED), 1)
    identity = Identity(kind="namespace", uid=uid, gid=gid, inside=inside)
    trial = subprocess.run(  # noqa: S603  a program of the package
        identity.command(server_binaries.program("postgres"), "--version"),
        **identity.options(),
        capture_output=True,
        text=True,
        check=False,
    )
    return (identity, "") if trial.returncode == 0 else (None, trial.stderr.strip() or "no user namespace")


def _reaching(identity: Identity, folder: Path, reason: str) -> Identity:
    """Return *identity* when that user can run the programs and pass through to *folder*; the kernel is asked."""
    program = server_binaries.program("postgres")
    trials: dict[Path, list[str | Path]] = {
        program: [program, "--version"],
        folder: ["/bin/sh", "-c", 'cd "$1"', "sh", folder],
    }
    for place, command in trials.items():
        try:
            subprocess.run(command, **identity.options(), capture_output=True, check=True)  # noqa: S603  words, no shell text
        except (OSError, subprocess.CalledProcessError) as error:
            raise ServerStartError(
                f"PostgreSQL does not run as root ({reason}), and the user {_name(identity.uid)} cannot reach "
                f"{_closed(place, identity)}; run as an ordinary user, or put program and data where that user may go",
                folder=str(folder),
            ) from error
    return identity


def _closed(place: Path, identity: Identity) -> Path:
    """Return the first folder on the way to *place* that its owner keeps closed to *identity*, or *place*."""
    for part in [*reversed(place.parents), place]:
        status = part.stat()
        shift = 6 if status.st_uid == identity.uid else 3 if status.st_gid == identity.gid else 0
        if not (status.st_mode >> shift) & 0o1:
            return part
    return place


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _name(uid: int) -> str:
    return f"{pwd.getpwuid(uid).pw_name} (uid {uid})" if _has_name(uid) else f"uid {uid}"
