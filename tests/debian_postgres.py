"""Debian's own PostgreSQL, which knows TLS and has no pgvector, in a folder of a test."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from media_gateway.database.server import identity as server_identity

PACKAGED: Final = Path("/usr/lib/postgresql")
PASSWORD: Final = "correct horse"
_HBA: Final = """
local all all trust
hostssl all certified all cert
hostssl all strict all scram-sha-256
"""


class DebianServer:
    """A server on 127.0.0.1 at *port*, with the roles `admin` (a superuser), `strict` and `certified`."""

    def __init__(self, folder: Path, port: int) -> None:
        found = sorted(PACKAGED.glob("*/bin/postgres"))
        if not found:
            pytest.skip("needs Debian's package postgresql-15, which .ci/packages installs")
        self._programs = found[-1].parent
        self.folder = folder
        self.port = port
        self._data = folder / "data"
        self._sockets = folder / "s"
        self._sockets.mkdir(parents=True)
        self._identity = server_identity.choose(folder, data_owner=None)
        self._identity.own(self._sockets)
        self._run("initdb", "-D", self._data, "-U", "admin", "--no-sync", "--no-instructions")
        (self._data / "pg_hba.conf").write_text(_HBA)
        (self._data / "postgresql.conf").write_text(
            f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{self._sockets}'\nfsync = off\n"
        )
        log = (folder / "log").open("wb")
        with log:
            command = self._identity.command(self._programs / "postgres", "-D", self._data)
            self._process = subprocess.Popen(command, **self._identity.options(), stdout=log, stderr=log)
        self._wait()
        for role in ("strict", "certified"):
            self.admin(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")

    def admin(self, statement: str) -> None:
        with psycopg.connect(host=str(self._sockets), port=self.port, user="admin", dbname="postgres") as connection:
            connection.autocommit = True
            connection.execute(statement.encode())

    def use(self, certificate: Path | None, key: Path | None = None, root: Path | None = None) -> None:
        """Serve with *certificate* from now on, None for no TLS; clients' certificates are those of *root*."""
        with (self._data / "postgresql.auto.conf").open("w") as file:
            if certificate is not None:
                for name, path in (("ssl_cert_file", certificate), ("ssl_key_file", key), ("ssl_ca_file", root)):
                    file.write(f"{name} = '{self._given(path)}'\n" if path is not None else "")
                file.write("ssl = on\n")
        before = self._loaded()
        self.admin("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 10
        while self._loaded() == before:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def conninfo(self, user: str = "strict", **parameters: Any) -> dict[str, Any]:
        return {
            "host": "localhost",
            "hostaddr": "127.0.0.1",
            "port": self.port,
            "dbname": "postgres",
            "user": user,
            "password": PASSWORD,
            **parameters,
        }

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)  # waits for no client
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def _given(self, path: Path) -> Path:
        """Return a copy of *path* that the server's user may read and nobody else."""
        copy = self._data / path.name
        copy.touch(mode=0o600)
        copy.write_bytes(path.read_bytes())
        self._identity.own(copy)
        return copy

    def _run(self, name: str, *arguments: str | Path) -> None:
        options = {**self._identity.options(), "stdin": subprocess.DEVNULL}
        done = subprocess.run(
            self._identity.command(self._programs / name, *arguments), **options, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                self.admin("SELECT 1")
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.05)

    def _loaded(self) -> Any:
        """Return when the settings were read that a new connection gets."""
        with psycopg.connect(host=str(self._sockets), port=self.port, user="admin", dbname="postgres") as fresh:
            return fresh.execute("SELECT pg_conf_load_time()").fetchone()
