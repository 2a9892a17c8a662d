"""The stores that the contract is tested on: a new backend is one more entry in `FACTORIES`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest

from media_gateway.contracts import VectorStore
from media_gateway.database.engine import PGVECTOR
from media_gateway.database.roles import RoleWish, make_roles
from media_gateway.database.schema import connect_dedicated
from media_gateway.models import ContentVector, SearchRequest, SearchResult, VectorSpace
from media_gateway.monitoring.metrics import Metrics
from media_gateway.monitoring.observed import StoreObserver, observed
from media_gateway.stores.memory import IndexTuning, MemoryStore, open_memory_store
from tests.postgres import TestServer

SPACE = VectorSpace(model="test-model", dimension=4)


class StoreFactory:
    """Opens stores of one backend, and closes what was opened."""

    finds_ties_exactly = True
    """Whether plain searches scan, so that the order of equal scores is promised."""

    def __init__(self) -> None:
        self._opened: list[VectorStore] = []
        self._places: dict[int, object] = {}

    async def open(self, space: VectorSpace = SPACE) -> VectorStore:
        """Return a store on a new, empty collection."""
        return await self._at(self.new_place(), space)

    async def reopen(self, store: VectorStore) -> VectorStore:
        """Close *store* and open its collection again."""
        place = self._places[id(store)]
        await store.aclose()
        return await self._at(place, store.space)

    async def _at(self, place: object, space: VectorSpace) -> VectorStore:
        store = await self.open_at(place, space)
        self._opened.append(store)
        self._places[id(store)] = place
        return store

    async def close(self) -> None:
        for store in self._opened:
            await store.aclose()

    def new_place(self) -> object:
        """Return where a new collection will lie."""
        raise NotImplementedError

    async def open_at(self, place: object, space: VectorSpace) -> VectorStore:
        """Open the collection at *place*, which `new_place` gave."""
        raise NotImplementedError


class MemoryFactory(StoreFactory):
    """The memory store with its files."""

    def __init__(self, folder: Path, tuning: IndexTuning | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._tuning = tuning

    def new_place(self) -> object:
        return self._folder / f"{len(self._opened)}.snap"

    async def open_at(self, place: object, space: VectorSpace) -> VectorStore:
        assert isinstance(place, Path)
        return await open_memory_store(place, space=space, tuning=self._tuning)


class IndexedMemoryStore(MemoryStore):
    """A memory store that searches only once its index has caught up, so that it is the index that answers."""

    async def search(self, request: SearchRequest) -> SearchResult:
        await self.settle()
        return await super().search(request)


class IndexedMemoryFactory(MemoryFactory):
    """The memory store made to use its index however few records there are."""

    finds_ties_exactly = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, IndexTuning(exact_floats=0, candidate_cost=0))

    async def open_at(self, place: object, space: VectorSpace) -> VectorStore:
        store = await super().open_at(place, space)
        store.__class__ = IndexedMemoryStore
        return store


class ObservedMemoryFactory(MemoryFactory):
    """The memory store under observation."""

    async def open_at(self, place: object, space: VectorSpace) -> VectorStore:
        store = await super().open_at(place, space)
        return observed(store, StoreObserver(Metrics(), "memory", records=lambda: None))


class PostgresFactory(StoreFactory):
    """The PostgreSQL store. A database that a test is done with is emptied and serves the next one."""

    _idle: ClassVar[dict[tuple[int, VectorSpace], list[dict[str, Any]]]] = {}

    def __init__(self, server: TestServer, **settings: Any) -> None:
        super().__init__()
        self._server = server
        self._settings = settings
        self._databases: dict[object, tuple[VectorSpace, dict[str, Any]]] = {}

    def new_place(self) -> object:
        return object()

    async def open_at(self, place: object, space: VectorSpace) -> VectorStore:
        if place not in self._databases:
            idle = self._idle.get((id(self._server), space), [])
            conninfo = idle.pop() if idle else self._server.new_database(await self._server._template(space))
            self._databases[place] = (space, conninfo)
        conninfo = self._databases[place][1]
        return await self._server.open_store(space, conninfo, pool_min=1, pool_max=8, **self._settings)

    async def close(self) -> None:
        await super().close()
        for space, conninfo in self._databases.values():
            with psycopg.connect(**conninfo, autocommit=True) as connection:
                connection.execute("TRUNCATE content_vectors")
            self._idle.setdefault((id(self._server), space), []).append(conninfo)


class RestrictedFactory(PostgresFactory):
    """The PostgreSQL store as services reach it: as the application's role, in a database that its owner migrated, by TLS.

    A proxy speaks TLS for the server; its certificate and host name are verified.
    """

    def __init__(self, server: TestServer, tls: dict[str, Any]) -> None:
        super().__init__(server)
        self._tls = tls

    async def open_at(self, place: object, space: VectorSpace) -> VectorStore:
        if place not in self._databases:
            await (await super().open_at(place, space)).aclose()
            wishes = [RoleWish(duty="application", name="app"), RoleWish(duty="monitoring", name="mon")]
            async with await connect_dedicated(self._databases[place][1]) as connection:
                await make_roles(connection, PGVECTOR, wishes, server="the server")
        conninfo = {**self._databases[place][1], "user": "app", **self._tls}
        store = await self._server.open_store(space, conninfo, pool_min=1, pool_max=8, **self._settings)
        async with store.serving_connection() as connection:
            assert connection.pgconn.ssl_in_use
            assert connection.info.user == "app"
        return store


FACTORIES: dict[str, Callable[[pytest.FixtureRequest], StoreFactory]] = {
    "memory": lambda request: MemoryFactory(request.getfixturevalue("tmp_path")),
    "memory-ann": lambda request: IndexedMemoryFactory(request.getfixturevalue("tmp_path")),
    "postgres": lambda request: PostgresFactory(request.getfixturevalue("postgres")),
}
FULL_FACTORIES: dict[str, Callable[[pytest.FixtureRequest], StoreFactory]] = {
    "memory-observed": lambda request: ObservedMemoryFactory(request.getfixturevalue("tmp_path")),
    "postgres-application-role-by-tls": lambda request: RestrictedFactory(
        request.getfixturevalue("postgres"), request.getfixturevalue("tls").conninfo()
    ),
}
"""The same stores behind something else; for `make test-full`."""


async def everything(store: VectorStore) -> list[ContentVector]:
    """Return all records of *store* in the order of a scan."""
    return [record async for batch in store.scan() for record in batch]


async def wiped(store: VectorStore) -> None:
    """Remove every record of *store*."""
    await store.delete([record.key for record in await everything(store)])
