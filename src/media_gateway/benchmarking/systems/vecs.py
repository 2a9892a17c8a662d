"""vecs, whose clients wait in threads: one a client."""

import asyncio
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from typing import Any

import anyio.to_thread

from media_gateway.benchmarking.datasets import Dataset, numbers_of
from media_gateway.benchmarking.systems.base import Answers, AskedHere, Loaded, Sizes, seconds_since
from media_gateway.benchmarking.systems.server import BenchmarkServer, Database, database_for, label_of
from media_gateway.benchmarking.truth import K
from media_gateway.database.index_definitions import IndexDefinition
from media_gateway.models import Matrix, Vector


class Vecs(AskedHere):
    """A collection of vecs with the index that it makes for cosine distance by HNSW, with the links and width of *graph*."""

    name = "vecs"

    def __init__(self, server: BenchmarkServer, graph: IndexDefinition) -> None:
        self._server = server
        self._graph = graph
        self.index = label_of(replace(graph, kind="vector"))
        self._database: Database | None = None
        self._client: Any = None
        self._collection: Any = None
        self._width = 40

    async def load(self, data: Dataset) -> Loaded:
        self._database = await self._server.database(database_for(self.name, self._graph), data.fingerprint)
        address = self._database.url("postgresql+psycopg2")
        await anyio.to_thread.run_sync(self._open, address, data.dimension)
        loaded = self._database.loaded
        if loaded is None:
            loaded = await anyio.to_thread.run_sync(self._loaded, data)
            await self._database.settle(loaded)
        await self._database.warm()
        self.versions = dict(await self._database.versions())
        return loaded

    def _open(self, address: str, dimension: int) -> None:
        self._client = _library().create_client(address)
        self._collection = self._client.get_or_create_collection(name="items", dimension=dimension)

    def _loaded(self, data: Dataset) -> Loaded:
        library = _library()
        seconds = 0.0
        for batch in data.records():
            records = [(record.key, record.vector, dict(record.metadata)) for record in batch]
            begin = time.perf_counter()
            self._collection.upsert(records)
            seconds += seconds_since(begin)
        begin = time.perf_counter()
        self._collection.create_index(
            method=library.IndexMethod.hnsw,
            measure=library.IndexMeasure.cosine_distance,
            index_arguments=library.IndexArgsHNSW(m=self._graph.m, ef_construction=self._graph.ef_construction),
        )
        return Loaded(load_s=seconds, build_s=seconds_since(begin))

    async def widen(self, width: int) -> None:
        self._width = width

    async def search(self, query: Vector) -> Any:
        return self._found(query)

    def _found(self, query: Vector) -> Any:
        return self._collection.query(query, limit=K, include_value=True, include_metadata=True, ef_search=self._width)

    async def answers(self, queries: Matrix) -> Answers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return await super().answers(queries)

    async def throughput(self, queries: Matrix, clients: int, seconds: float) -> float:
        loop, start = asyncio.get_running_loop(), threading.Barrier(clients)
        # Threads of its own: the loop's are fewer than sixteen, and the barrier waits for all.
        with ThreadPoolExecutor(clients) as threads:
            loops = [
                loop.run_in_executor(threads, self._client_loop, queries, number, seconds, start)
                for number in range(clients)
            ]
            return sum(await asyncio.gather(*loops))

    def _client_loop(self, queries: Matrix, number: int, seconds: float, start: threading.Barrier) -> float:
        start.wait()
        begin = time.perf_counter()
        count = 0
        while time.perf_counter() - begin < seconds:
            self._found(queries[(number * 97 + count) % len(queries)])
            count += 1
        return count / seconds_since(begin)

    def numbers(self, answer: Any) -> list[int]:
        return numbers_of([row[0] for row in answer])

    async def sizes(self) -> Sizes:
        return Sizes(disk=None, memory=None) if self._database is None else await self._database.sizes()

    async def aclose(self) -> None:
        if self._client is not None:
            await anyio.to_thread.run_sync(self._client.disconnect)
        if self._database is not None:
            await self._server.done_with(self._database)


def _library() -> Any:
    # An optional peer: imported when it is measured.
    return import_module("vecs")
