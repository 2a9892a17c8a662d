"""Starting a server on data that none serves, and waiting for what a server takes time for."""

import contextlib
import time
from collections.abc import Generator
from pathlib import Path

from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from media_gateway.database.server import binaries as server_binaries
from media_gateway.database.server import cluster as server_cluster
from media_gateway.database.server import config as server_config
from media_gateway.database.server import files as server_files
from media_gateway.database.server import identity as server_identity
from media_gateway.database.server import log as server_log
from media_gateway.database.server import process as server_process
from media_gateway.database.server import sockets as server_socket
from media_gateway.database.server import tcp as server_tcp
from media_gateway.database.server.folder import ServerFolder
from media_gateway.database.server.process import Postmaster

_PAUSE = 0.02
_GRACE = 3.0  # seconds: a killed server's processes mostly notice at once, a new one writes its pid file at once


def launch(folder: ServerFolder, *, port: int | None, allow_namespace: bool, deadline: float) -> int | None:
    """Start a server, making its data when there is none, and return its pid as soon as it exists.

    Returns None when a server made itself known meanwhile: its starter was killed before it. The caller holds the
    folder's lock and has seen that no server runs. Raises ServerStartError.
    """
    identity = server_identity.choose(folder.root, data_owner=folder.owner(), allow_namespace=allow_namespace)
    if port is not None:
        server_tcp.check_free(port, folder)
    if not folder.data.exists():
        server_cluster.make(folder, identity, deadline)
    _write_settings(folder)
    sockets = server_socket.prepare(folder, identity)
    arguments: list[str | Path] = ["-D", folder.data, "-c", f"unix_socket_directories={sockets}"]
    if port is not None:
        arguments += ["-c", f"listen_addresses={server_tcp.ADDRESS}", "-c", f"port={port}"]
    with _held(folder, deadline) as hold, server_files.appending(folder.log) as log:
        if hold is None:
            return None
        server_cluster.hand_over(folder, identity)
        server_process.retire(folder.data)
        server_socket.clear(sockets)
        program = server_binaries.program("postgres")
        return server_process.spawn(identity, program, arguments, log=log, hold=hold)


def join(folder: ServerFolder, deadline: float) -> bool:
    """Return True once a server that is there takes connections, False when there is none or it ended meanwhile.

    Raises ServerStartError when it still starts, recovers or stops at the monotonic time *deadline*.
    """
    while (postmaster := server_process.find(folder.data)) is not None:
        if answers(folder, postmaster):
            return True
        if time.monotonic() >= deadline:
            phrase, lines = server_log.reason(server_log.since(folder.log, 0))
            state = f"does not answer yet (it is {postmaster.status})"
            raise folder.error(f"{state}; wait and try again; its log ends: {phrase}", log=lines)
        time.sleep(_PAUSE)
    return False


def wait_until_ready(folder: ServerFolder, pid: int, logged: int, deadline: float) -> None:
    """Return when the server just launched as *pid* takes connections; *logged* is the length of its log before.

    Raises ServerStartError with the reason from the log when it ends, or still starts at *deadline*. Then it has made
    itself known in any case, so that nobody starts a second one beside it.
    """
    while not join(folder, deadline):
        if not server_process.is_alive(pid):
            phrase, lines = server_log.reason(server_log.since(folder.log, logged))
            raise folder.error(f"did not start: {phrase}; its log is {folder.log}", log=lines)
        if time.monotonic() >= deadline + _GRACE:
            raise folder.error(f"did not come to life; look for the process {pid}; its log is {folder.log}")
        time.sleep(_PAUSE)


def answers(folder: ServerFolder, postmaster: Postmaster) -> bool:
    """Whether *postmaster* takes connections at its socket, be it busy to the last one.

    What it says of itself is not enough: a server that was just killed still counts as ready for a moment. Raises
    ServerStartError when its socket is gone or in other hands, which does not get better by waiting.
    """
    if postmaster.status != "ready":
        return False
    owner = folder.owner()
    sockets = server_socket.place(folder, owner)
    port = postmaster.port or server_socket.PORT
    is_ours = owner is not None and server_socket.is_private(sockets, owner[0])
    if not is_ours or not server_socket.socket_file(sockets, port).exists():
        raise folder.error(
            f"runs (pid {postmaster.pid}), but somebody removed or replaced its socket in {sockets}; "
            "run media-gateway db stop, then media-gateway db start"
        )
    address = make_conninfo(
        host=str(sockets), hostaddr="", port=port, dbname="postgres", user=server_cluster.USER, connect_timeout=5
    )
    return PGconn.ping(address.encode()) == Ping.OK


def wait_for_end(folder: ServerFolder, postmaster: Postmaster, deadline: float) -> None:
    """Return when *postmaster* has ended; raises ServerStartError when it still runs at *deadline*."""
    while server_process.is_alive(postmaster.pid):
        if time.monotonic() >= deadline:
            raise folder.error("is still stopping, since it has much to write; wait, then look with db status")
        time.sleep(_PAUSE)


def _write_settings(folder: ServerFolder) -> None:
    values = server_config.settings(server_config.Machine.here(folder.root))
    values |= {"listen_addresses": "", "port": str(server_socket.PORT)}
    server_files.write(folder.settings, server_config.text(values))
    if not folder.operator_settings.exists():
        server_files.write(folder.operator_settings, server_config.OPERATOR_TEXT)


@contextlib.contextmanager
def _held(folder: ServerFolder, deadline: float) -> Generator[int | None]:
    """Give the descriptor of a lock that every process of the server inherits and so holds as long as it lives.

    It tells of processes that a killed server left behind, and of a server in another container, whose pid and memory
    cannot be seen from here: a second server on the same data would destroy it. Gives None when its holder turns out
    to be a server that can be seen.
    """
    grace = time.monotonic() + _GRACE
    while True:
        with server_files.locked(folder.in_use, time.monotonic() + _PAUSE) as hold:
            is_visible = server_process.find(folder.data) is not None
            if hold is not None or is_visible:
                yield None if is_visible else hold
                return
        if time.monotonic() >= min(grace, deadline):
            server_process.dismiss_leftovers(folder.data)
        if time.monotonic() >= deadline:
            raise folder.error(
                "cannot start: its data is in use by processes of a killed server, or by a server that cannot be seen "
                "from here, as in another container; end those first"
            )
