"""The real service for tests: the installed command in a process of its own, and a client that asks it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from media_gateway.server.keys import KeyFile, Scope

PROGRAM = Path(sys.executable).with_name("media-gateway")


@dataclass(frozen=True, kw_only=True)
class Running:
    """A service that runs in *folder*: what it printed when it began, and *client*, which has a key for everything."""

    folder: Path
    process: subprocess.Popen[str]
    announced: dict[str, Any]
    client: httpx.Client

    @property
    def address(self) -> str:
        return self.announced["address"]

    @property
    def console(self) -> str:
        """The address of the web page, with a key for everything."""
        return f"{self.address}/#key={self.client.headers['X-API-Key']}"

    def anonymous(self) -> httpx.Client:
        """Return a client without a key."""
        return httpx.Client(base_url=self.address, timeout=30)

    def log(self) -> list[dict[str, Any]]:
        """Return what the service logged so far."""
        lines = (self.folder / "service.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextmanager
def running(folder: Path, *arguments: str, scope: Scope = Scope.admin, **variables: str) -> Iterator[Running]:
    """Run `media-gateway serve` in *folder* on a free port until the block ends; it must end well."""
    key = make_key(folder, scope)
    with (folder / "service.log").open("w") as log:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--port", "0", "--json", *arguments],
            cwd=folder,
            env={**os.environ, "RUVECTOR_HTTP_RATE_LIMIT": "0", **variables},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            announced = _announced(process.stdout)
            assert "address" in announced, (folder / "service.log").read_text()
            headers = {"X-API-Key": key}
            with httpx.Client(base_url=announced["address"], headers=headers, timeout=30) as client:
                yield Running(folder=folder, process=process, announced=announced, client=client)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=40) == 0, (folder / "service.log").read_text()
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _announced(out: IO[str]) -> dict[str, Any]:
    """Return the JSON object of the first line of *out*, an empty one when it ends before."""
    return json.loads(out.readline() or "{}")


def variables_of(conninfo: dict[str, Any]) -> dict[str, str]:
    """Return the settings by which the command means the database of *conninfo*."""
    names = {"POSTGRES_HOST": "host", "POSTGRES_PORT": "port", "POSTGRES_DB": "dbname", "POSTGRES_USER": "user"}
    return {name: str(conninfo[part]) for name, part in names.items()}


def make_key(folder: Path, scope: Scope) -> str:
    """Return a new key for a service in *folder*."""
    _, text = KeyFile(folder / "data" / "keys.json").create(f"{scope.name}-{os.urandom(3).hex()}", scope)
    return text
