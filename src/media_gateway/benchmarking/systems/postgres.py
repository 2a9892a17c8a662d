"""Our PostgreSQL store, and bare psycopg on the same table with the same statement."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, Final, LiteralString

import numpy as np
import psycopg
from psycopg import AsyncConnection

from media_gateway.benchmarking.datasets import Dataset, numbers_of
from media_gateway.benchmarking.systems.base import AskedHere, Loaded, Sizes, seconds_since
from media_gateway.benchmarking.systems.copying import bare_copy
from media_gateway.benchmarking.systems.server import BenchmarkServer, Database, database_for, label_of
from media_gateway.benchmarking.truth import K
from media_gateway.database.engine import PGVECTOR
from media_gateway.database.index_definitions import IndexDefinition
from media_gateway.database.statements import trusted
from media_gateway.database.vectors import register_vectors
from media_gateway.models import ContentVector, SearchRequest, Vector, VectorSpace
from media_gateway.stores.postgres import PostgresStore, open_postgres_store
from media_gateway.stores.postgres.indexes import build_index

MODEL: Final = "benchmark"
_MOST_TO_TUNE: Final = 200_000
"""Rows up to which the store's own tuning, which compares with exact scans, takes a minute or two."""
_PROFILE: Final[LiteralString] = """
INSERT INTO content_search_profiles (index_name, index_kind, table_rows, k, target, queries, queries_from, ef_search,
    recall, recall_low, recall_high, walk_ratio, classes)
VALUES (%s, %s, 0, 10, 0, 0, 'records', %s, 0, 0, 0, 4.2, '[{"least_share": 0, "factor": 2}]')
"""


class Collection:
    """The collection that our store and bare psycopg search, made once for both."""

    def __init__(self, server: BenchmarkServer, index: IndexDefinition) -> None:
        self._server = server
        self.index = index
        self.settings = server.settings(index.kind)
        self._database: Database | None = None
        self._users = 0
        self.space = VectorSpace(model=MODEL, dimension=0)
        self.statement: LiteralString = ""
        self.ef_search: int | None = None

    @property
    def label(self) -> str:
        """What the index is, for people."""
        return label_of(self.index)

    @property
    def database(self) -> Database:
        """Where it lies, once `load` made it."""
        if self._database is None:
            raise RuntimeError("the collection was not loaded")
        return self._database

    async def load(self, data: Dataset) -> Loaded:
        """Load *data*, unless the other system did, or an earlier run."""
        self._users += 1
        if self._database is None:
            name = database_for(f"ours_{self.index.kind}", self.index)
            self._database = await self._server.database(name, data.fingerprint)
            self.space = VectorSpace(model=MODEL, dimension=data.dimension)
        loaded = self._database.loaded
        if loaded is None:
            loaded = await self._loaded(data)
            await self._database.settle(loaded)
        await self._database.warm()
        return loaded

    async def widen(self, width: int) -> None:
        """Have our stores search with *width* from their next opening on, and learn what statement they send then."""
        async with await self.database.connect() as connection:
            await connection.execute(_PROFILE, [self.index.name, self.index.kind, width])
        store = await self.open()
        try:
            some = np.ones(self.space.dimension, dtype=np.float32)
            told = await store.explain(SearchRequest(vector=some, k=K))
        finally:
            await store.aclose()
        self.statement = trusted(told.statement or "")
        self.ef_search = told.ef_search

    async def open(self) -> PostgresStore:
        """Return a store on it."""
        return await open_postgres_store(self.settings, conninfo=self.database.conninfo, space=self.space)

    async def release(self) -> None:
        """Have it dropped when nobody uses it any more."""
        self._users -= 1
        if self._users == 0 and self._database is not None:
            database, self._database = self._database, None
            await self._server.done_with(database)

    async def _loaded(self, data: Dataset) -> Loaded:
        store = await self.open()
        try:
            if self.index != IndexDefinition(kind=self.index.kind):
                # Loading builds the indexes that the empty table has.
                await build_index(store.endpoint, self.index, replaces=True)
            feed = _Feed(data)
            begin = time.perf_counter()
            await store.bulk_load(feed.batches())
            # The last batch is asked for when all others are written; what is left then is building the index.
            return Loaded(load_s=feed.ended - begin, build_s=seconds_since(feed.ended))
        finally:
            await store.aclose()


class _Feed:
    """The records of a data set, and when the last one was taken."""

    def __init__(self, data: Dataset) -> None:
        self._data = data
        self.ended = 0.0

    async def batches(self) -> AsyncIterator[Sequence[ContentVector]]:
        for batch in self._data.records():
            yield batch
        self.ended = time.perf_counter()


class Postgres(AskedHere):
    """Our store."""

    name = "postgres"

    def __init__(self, collection: Collection, target: float) -> None:
        self._collection = collection
        self._target = target
        self._opened: PostgresStore | None = None
        self._rows = 0
        self.index = collection.label

    async def load(self, data: Dataset) -> Loaded:
        loaded = await self._collection.load(data)
        self._rows = data.n
        self._opened = await self._collection.open()
        self.versions = dict(await self._collection.database.versions())
        return loaded

    async def tune(self) -> str | None:
        if self._rows > _MOST_TO_TUNE:
            return None
        first = (await self._store.tune(target=self._target, k=K)).classes[0]
        await self._reopen()
        interval = f"{first.recall_low:.3f} to {first.recall_high:.3f}"
        return f"ef_search {first.ef_search} for a recall of {first.recall:.3f} ({interval})"

    async def widen(self, width: int) -> None:
        await self._collection.widen(width)
        await self._reopen()

    async def _reopen(self) -> None:
        # A store follows a new profile within a minute; a new one does so at once.
        await self._store.aclose()
        self._opened = await self._collection.open()

    async def search(self, query: Vector) -> Any:
        return await self._store.search(SearchRequest(vector=query, k=K))

    def numbers(self, answer: Any) -> list[int]:
        return numbers_of([hit.key for hit in answer.hits])

    async def sizes(self) -> Sizes:
        return await self._collection.database.sizes()

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()
            await self._collection.release()

    @property
    def _store(self) -> PostgresStore:
        if self._opened is None:
            raise RuntimeError("the store was not loaded")
        return self._opened


class BarePsycopg(AskedHere):
    """psycopg's asynchronous connections, one a client: prepared, binary, our statement on our table."""

    name = "psycopg"
    shares_index_with = "postgres"

    def __init__(self, server: BenchmarkServer, collection: Collection) -> None:
        self._server = server
        self._collection = collection
        self._connections: list[AsyncConnection[Any]] = []
        self._free: list[AsyncConnection[Any]] = []
        self.index = collection.label

    async def load(self, data: Dataset) -> Loaded:
        shared = await self._collection.load(data)
        self.versions = dict(await self._collection.database.versions())
        seconds, rows = await bare_copy(self._server, data)
        self.notes = (
            "searches the table and index of postgres, with the same statement",
            f"load rate: COPY of {rows:,} ready-made rows into the same table without its vector index",
        )
        return Loaded(load_s=seconds * data.n / rows, build_s=shared.build_s)

    async def widen(self, width: int) -> None:
        await self._collection.widen(width)
        await self._disconnect()

    async def search(self, query: Vector) -> Any:
        connection = self._free.pop() if self._free else await self._connected()
        try:
            cursor = await connection.execute(self._collection.statement, {"vector": query}, prepare=True, binary=True)
            return await cursor.fetchall()
        finally:
            self._free.append(connection)

    def numbers(self, answer: Any) -> list[int]:
        return numbers_of([row[0] for row in answer])

    async def sizes(self) -> Sizes:
        return await self._collection.database.sizes()

    async def aclose(self) -> None:
        await self._disconnect()
        await self._collection.release()

    async def _connected(self) -> AsyncConnection[Any]:
        connection = await self._collection.database.connect()
        await register_vectors(connection, PGVECTOR)
        if self._collection.ef_search is not None:
            await connection.execute(
                "SELECT set_config('hnsw.ef_search', %s, false)", [str(self._collection.ef_search)]
            )
        self._connections.append(connection)
        return connection

    async def _disconnect(self) -> None:
        for connection in self._connections:
            with suppress(psycopg.Error):
                await connection.close()
        self._connections, self._free = [], []
