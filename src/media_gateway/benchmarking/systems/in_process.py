"""Peers within this process: bare usearch, and an exact scan by numpy. They know row numbers only, no metadata."""

import time
from typing import Any, Final

import numpy as np

from media_gateway.benchmarking.datasets import Dataset
from media_gateway.benchmarking.systems.base import AskedHere, Loaded, Sizes, seconds_since
from media_gateway.benchmarking.truth import K
from media_gateway.models import Matrix, Vector

_CONNECTIVITY: Final = 16
_EXPANSION_ADD: Final = 128


class Usearch(AskedHere):
    """usearch with 16-bit floats, its own defaults of M 16 and efConstruction 128, filled by all cores."""

    name = "usearch"
    index = f"hnsw f16 m {_CONNECTIVITY}, ef_construction {_EXPANSION_ADD}"

    def __init__(self) -> None:
        self._made: Any = None

    async def load(self, data: Dataset) -> Loaded:
        from usearch.index import Index  # noqa: PLC0415  only where it is measured

        index = Index(
            ndim=data.dimension,
            metric="ip",
            dtype="f16",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
        )
        seconds = 0.0
        begin = 0
        for block in data.blocks():
            started = time.perf_counter()
            index.add(np.arange(begin, begin + len(block), dtype=np.uint64), block)
            seconds += seconds_since(started)
            begin += len(block)
        self._made = index
        return Loaded(load_s=seconds, build_s=seconds)

    async def widen(self, width: int) -> None:
        self._made.expansion_search = width

    async def search(self, query: Vector) -> Any:
        return self._made.search(query, K, threads=1).keys

    def numbers(self, answer: Any) -> list[int]:
        return [int(number) for number in answer]

    async def sizes(self) -> Sizes:
        return Sizes(disk=int(self._made.serialized_length), memory=int(self._made.memory_usage))

    async def aclose(self) -> None:
        self._made = None


class Numpy(AskedHere):
    """One product of the matrix of all rows with the query, and the ten best of it."""

    name = "numpy"
    index = "none: exact scan"
    is_tunable = False

    def __init__(self) -> None:
        self._rows: Matrix = np.empty((0, 0), dtype=np.float32)

    async def load(self, data: Dataset) -> Loaded:
        seconds = 0.0
        self._rows = np.empty((data.n, data.dimension), dtype=np.float32)
        begin = 0
        for block in data.blocks():
            started = time.perf_counter()
            self._rows[begin : begin + len(block)] = block
            seconds += seconds_since(started)
            begin += len(block)
        return Loaded(load_s=seconds, build_s=0.0)

    async def search(self, query: Vector) -> Any:
        scores = self._rows @ query
        best = np.argpartition(scores, -K)[-K:]
        return best[np.argsort(-scores[best])]

    def numbers(self, answer: Any) -> list[int]:
        return answer.tolist()

    async def sizes(self) -> Sizes:
        return Sizes(disk=None, memory=int(self._rows.nbytes))

    async def aclose(self) -> None:
        self._rows = np.empty((0, 0), dtype=np.float32)
