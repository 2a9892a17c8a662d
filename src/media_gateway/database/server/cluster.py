"""A new PostgreSQL cluster with its role and database, made wholly or not at all."""

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

from media_gateway.database.server import binaries as server_binaries
from media_gateway.database.server import config as server_config
from media_gateway.database.server.folder import UNFINISHED, ServerFolder
from media_gateway.database.server.identity import Identity
from media_gateway.whole_files import sync_folder

USER = "media_gateway"
DATABASE = "media_vectors"

# The application's role is the cluster's superuser: it creates extensions that only a superuser may (pg_prewarm,
# pg_stat_statements), and whoever reaches the socket can read the data's files anyway. The socket asks for no
# password, since its folder is closed to others and a user namespace hides who is behind a connection.
_INITDB = (
    f"--username={USER}",
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--locale=C.UTF-8",
    "--lc-messages=C",
    "--auth-local=trust",
    "--auth-host=scram-sha-256",
    "--no-instructions",
)


def make(folder: ServerFolder, identity: Identity, deadline: float) -> None:
    """Make the data of *folder* by the monotonic time *deadline*, to be owned by *identity*.

    The work is done under another name and renamed at the end, so that an interruption leaves nothing half-made.
    Raises ServerStartError with initdb's own reason.
    """
    for unfinished in folder.root.glob(f"{UNFINISHED}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    with _unfinished(folder, identity) as data:
        _run(folder, identity, ["initdb", "-D", data, *_INITDB], deadline)
        with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(server_config.INCLUDES)
            file.flush()
            os.fsync(file.fileno())
        single = ["postgres", "--single", "-D", data, "-c", "exit_on_error=on", "postgres"]
        _run(folder, identity, single, deadline, f"CREATE DATABASE {DATABASE};\n")
        data.rename(folder.data)
    sync_folder(folder.root)


def hand_over(folder: ServerFolder, identity: Identity) -> None:
    """Give data that root made in a user namespace to *identity*, where namespaces are no longer to be had.

    The data folder itself comes last: an interruption is made up for by the next start.
    """
    owner = folder.owner()
    if identity.kind != "user" or owner is None or owner[0] == identity.uid:
        return
    for place, folders, files in os.walk(folder.data, topdown=False):
        for name in (*folders, *files):
            identity.own(Path(place, name))
    identity.own(folder.data)


@contextlib.contextmanager
def _unfinished(folder: ServerFolder, identity: Identity) -> Generator[Path]:
    data = folder.root / f"{UNFINISHED}{secrets.token_hex(4)}"
    data.mkdir(mode=0o700)
    identity.own(data)
    try:
        yield data
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _run(folder: ServerFolder, identity: Identity, words: list[str | Path], deadline: float, text: str = "") -> None:
    program, *arguments = words
    options = identity.options()
    del options["stdin"]
    try:
        done = subprocess.run(  # noqa: S603  a program of the package
            identity.command(server_binaries.program(str(program)), *arguments),
            **options,
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=max(1.0, deadline - time.monotonic()),
        )
    except subprocess.TimeoutExpired as error:
        raise folder.error(f"could not be made in time: {program} took {error.timeout:.0f} s; give it more") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
        complaints = [line for line in lines if any(word in line for word in ("error:", "FATAL:", "PANIC:", "ERROR:"))]
        reason = (complaints or lines or ["it said nothing"])[-1]
        raise folder.error(f"could not be made: {reason.rstrip('.')}", log="\n".join(lines[-12:]))
