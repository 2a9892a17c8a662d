"""A real PostgreSQL for tests, started by the project itself, with a fresh database for whoever asks."""

import itertools
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Final

import psycopg
from psycopg import sql

from media_gateway.database.server import EmbeddedServer
from media_gateway.models import VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.postgres import PostgresStore, open_postgres_store
from tests.once import made_once

_QUICK: Final = "fsync = off\nfull_page_writes = off\nwal_compression = off\n"
"""Tests end processes, never the machine, so nothing has to reach the disk, and a new database is logged as it is."""


class TestServer:
    """The embedded server in a folder of its own, on a copy of data that the run made once.

    A folder that has settings of its own already is started as it is.
    """

    __test__ = False
    shared: ClassVar[Path]
    """The folder of the run that all its processes have in common; tests/conftest.py names it."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        if not (folder / "operator.conf").exists():
            copy_cluster(folder)
        self.embedded = EmbeddedServer(folder, port=port)
        self.embedded.start()
        self._numbers = itertools.count(1)
        self._templates: dict[int, str] = {}

    def stop(self) -> None:
        self.embedded.stop()

    def conninfo(self, database: str = "postgres") -> dict[str, Any]:
        return {**self.embedded.conninfo(), "dbname": database}

    def new_database(self, template: str = "template1") -> dict[str, Any]:
        """Return libpq's parameters of a new database."""
        name = f"test_{next(self._numbers)}"
        self.admin(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self.conninfo(name)

    def drop_database(self, conninfo: dict[str, Any]) -> None:
        self.admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(conninfo["dbname"])))

    def admin(self, statement: sql.Composable) -> None:
        with psycopg.connect(**self.conninfo(), autocommit=True) as connection:
            connection.execute(statement)

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Stop every process of the server where it stands, as on a machine that hangs, for as long as the block runs."""
        postmaster = self.embedded.status().pid
        assert postmaster is not None
        stopped: list[int] = []
        try:
            # The postmaster first, so that it makes no further ones; some may be gone before they are stopped.
            for process in itertools.chain([postmaster], _children(postmaster)):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGSTOP)
                    stopped.append(process)
            yield
        finally:
            for process in reversed(stopped):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    async def open_store(
        self, space: VectorSpace, conninfo: dict[str, Any] | None = None, **settings: Any
    ) -> PostgresStore:
        """Return a store on *conninfo*, by default on a new database."""
        if conninfo is None:
            conninfo = self.new_database(await self._template(space))
        return await open_postgres_store(Settings.read(backend="postgres", **settings), conninfo=conninfo, space=space)

    async def _template(self, space: VectorSpace) -> str:
        """Return a database with the schema for *space*: copying it is quicker than migrating each time."""
        if space.dimension not in self._templates:
            conninfo = self.new_database()
            store = await open_postgres_store(Settings.read(backend="postgres"), conninfo=conninfo, space=space)
            await store.aclose()
            self._templates[space.dimension] = conninfo["dbname"]
        return self._templates[space.dimension]


def copy_cluster(folder: Path) -> None:
    """Put an empty embedded server that is stopped into *folder*, and let it be quick."""
    shutil.copytree(made_once(TestServer.shared / "cluster", _make_cluster), folder, dirs_exist_ok=True)
    be_quick(folder)


def be_quick(folder: Path) -> None:
    """Let the embedded server of *folder* be quick from its next start on."""
    with (folder / "operator.conf").open("a") as settings:
        settings.write(_QUICK)


def _make_cluster(folder: Path) -> None:
    server = EmbeddedServer(folder)
    server.start()
    server.stop()


def _children(process: int) -> Iterator[int]:
    # Read when the first one is asked for: the parent is stopped by then.
    yield from map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
