"""LangChain's PGVectorStore on its asynchronous engine, with its HNSW index and its own search option."""

import time
from dataclasses import replace
from importlib import import_module
from typing import Any

from media_gateway.benchmarking.datasets import Dataset, numbers_of
from media_gateway.benchmarking.systems.base import AskedHere, Loaded, Sizes, seconds_since
from media_gateway.benchmarking.systems.server import BenchmarkServer, Database, database_for, label_of
from media_gateway.benchmarking.truth import K
from media_gateway.database.index_definitions import IndexDefinition
from media_gateway.models import Vector

_TABLE = "items"
_CONNECTIONS = 20


class LangChain(AskedHere):
    """Its store, with an HNSW index of the links and width of *graph*.

    Texts go in with ready vectors, a thousand a call; each is an INSERT and a commit of its own in that library.
    """

    name = "langchain"

    def __init__(self, server: BenchmarkServer, graph: IndexDefinition) -> None:
        self._server = server
        self._graph = graph
        self.index = label_of(replace(graph, kind="vector"))
        self._database: Database | None = None
        self._alchemy: Any = None
        self._engine: Any = None
        self._store: Any = None

    async def load(self, data: Dataset) -> Loaded:
        engines: Any = import_module("sqlalchemy.ext.asyncio")

        self._database = await self._server.database(database_for(self.name, self._graph), data.fingerprint)
        self._alchemy = engines.create_async_engine(self._database.url("postgresql+asyncpg"), pool_size=_CONNECTIONS)
        self._engine = _library().PGEngine.from_engine(self._alchemy)
        loaded = self._database.loaded
        if loaded is None:
            loaded = await self._loaded(data)
            await self._database.settle(loaded)
        await self._database.warm()
        self.versions = dict(await self._database.versions())
        return loaded

    async def _loaded(self, data: Dataset) -> Loaded:
        if self._database is None:
            raise RuntimeError("there is no database")
        async with await self._database.connect() as connection:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        await self._engine.ainit_vectorstore_table(
            _TABLE, data.dimension, id_column=_library().Column("langchain_id", "TEXT", nullable=False)
        )
        await self._open(None)
        seconds = 0.0
        for batch in data.records():
            texts = [str(record.metadata.get("title", "")) for record in batch]
            vectors = [record.vector.tolist() for record in batch]
            metadata = [dict(record.metadata) for record in batch]
            begin = time.perf_counter()
            await self._store.aadd_embeddings(texts, vectors, metadata, [record.key for record in batch])
            seconds += seconds_since(begin)
        begin = time.perf_counter()
        index = _indexes().HNSWIndex(m=self._graph.m, ef_construction=self._graph.ef_construction)
        await self._store.aapply_vector_index(index)
        return Loaded(load_s=seconds, build_s=seconds_since(begin))

    async def widen(self, width: int) -> None:
        await self._open(_indexes().HNSWQueryOptions(ef_search=width))

    async def _open(self, options: Any) -> None:
        embeddings: Any = import_module("langchain_core.embeddings")
        # Nothing is ever embedded: vectors are given.
        self._store = await _library().PGVectorStore.create(
            self._engine,
            embeddings.DeterministicFakeEmbedding(size=1),
            _TABLE,
            id_column="langchain_id",
            index_query_options=options,
        )

    async def search(self, query: Vector) -> Any:
        return await self._store.asimilarity_search_with_score_by_vector(query.tolist(), k=K)

    def numbers(self, answer: Any) -> list[int]:
        return numbers_of([document.id for document, _ in answer])

    async def sizes(self) -> Sizes:
        return Sizes(disk=None, memory=None) if self._database is None else await self._database.sizes()

    async def aclose(self) -> None:
        if self._alchemy is not None:
            await self._alchemy.dispose()
        if self._database is not None:
            await self._server.done_with(self._database)


# Optional peers: imported when they are measured.
def _library() -> Any:
    return import_module("langchain_postgres")


def _indexes() -> Any:
    return import_module("langchain_postgres.v2.indexes")
