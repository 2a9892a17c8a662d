"""Our memory store, kept in files as it is in service."""

import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from media_gateway.benchmarking.datasets import Dataset, numbers_of
from media_gateway.benchmarking.systems.base import AskedHere, Loaded, Sizes, seconds_since
from media_gateway.benchmarking.truth import K
from media_gateway.models import ContentVector, SearchRequest, Vector, VectorSpace
from media_gateway.stores.memory import MemoryStore, open_memory_store


class Memory(AskedHere):
    """Our memory store; it chooses its own width, by measurement, when it builds its index."""

    name = "memory"
    is_tunable = False

    def __init__(self, folder: Path, target: float) -> None:
        self._folder = folder
        self._target = target
        self._opened: MemoryStore | None = None

    async def load(self, data: Dataset) -> Loaded:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._clear()
        store = await open_memory_store(
            self._folder / "memory.snap",
            space=VectorSpace(model="benchmark", dimension=data.dimension),
            recall_target=self._target,
        )
        self._opened = store
        begin = time.perf_counter()
        await store.bulk_load(_batches(data))
        written = time.perf_counter()
        await store.settle()
        stats = await store.stats()
        self.index = stats.index or "none: a scan"
        if "ef_search" in stats.details:
            self.notes = (f"chose efSearch {stats.details['ef_search']} by itself",)
        return Loaded(load_s=written - begin, build_s=seconds_since(written))

    async def search(self, query: Vector) -> Any:
        return await self._store.search(SearchRequest(vector=query, k=K))

    def numbers(self, answer: Any) -> list[int]:
        return numbers_of([hit.key for hit in answer.hits])

    async def sizes(self) -> Sizes:
        stats = await self._store.stats()
        disk = sum(path.stat().st_size for path in self._folder.iterdir() if path.is_file())
        return Sizes(disk=disk, memory=stats.table_bytes + stats.index_bytes)

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()
        self._clear()

    def _clear(self) -> None:
        for path in self._folder.glob("memory.snap*"):
            path.unlink()

    @property
    def _store(self) -> MemoryStore:
        if self._opened is None:
            raise RuntimeError("the store was not loaded")
        return self._opened


async def _batches(data: Dataset) -> AsyncIterator[Sequence[ContentVector]]:
    for batch in data.records():
        yield batch
