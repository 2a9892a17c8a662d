"""Embeddings that were made before: kept in memory for a while and, where there is a table, for good."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np

from media_gateway.contracts import Embedder, EmbeddingPurpose, ReportsUsage
from media_gateway.embeddings.flights import Flight
from media_gateway.embeddings.lru import LruCache
from media_gateway.embeddings.texts import checked_texts
from media_gateway.errors import EmbeddingError, MediaGatewayError
from media_gateway.models import Matrix, Vector, VectorSpace

CACHE_SECONDS: Final = 300.0
CACHE_SIZE: Final = 10_000
"""Vectors in memory: 30 MB at 768 numbers."""
_CHUNK: Final = 1_000
"""Texts that are read, embedded and written together: what a long call has finished is kept when it fails later."""
_TABLE_REST: Final = 30.0
"""Seconds for which a table that failed is left alone, so that it does not slow down every call."""

_Key = tuple[EmbeddingPurpose, bytes]
_Vectors = Mapping[bytes, Vector]

_log = logging.getLogger(__name__)


class VectorTable(Protocol):
    """Where vectors outlive the process, by the SHA-256 of their text; any method may raise MediaGatewayError."""

    async def read(
        self, space: VectorSpace, purpose: EmbeddingPurpose, digests: Sequence[bytes]
    ) -> dict[bytes, Vector]:
        """Return those of *digests* that are there, each with its vector."""
        ...

    async def write(self, space: VectorSpace, purpose: EmbeddingPurpose, vectors: _Vectors) -> None:
        """Keep *vectors* by their digests; what is there already stays."""
        ...


@dataclass(frozen=True, kw_only=True)
class CacheStats:
    """Where the texts of all `embed` calls found their vectors, so far in this process.

    *memory*: kept here; *shared*: in a call of the same moment; *table*: in the persistent table; *misses*: nowhere,
    they were embedded. *entries* are in memory now. *table_failures* counts what the table could not do.
    """

    memory: int
    shared: int
    table: int
    misses: int
    entries: int
    table_failures: int

    @property
    def hit_rate(self) -> float | None:
        """The share of texts that were not embedded anew, 0 to 1, or None before the first one."""
        hits = self.memory + self.shared + self.table
        return hits / (hits + self.misses) if hits + self.misses else None


class CachedEmbedder:
    """An `Embedder` in front of *inner* that asks it only for what it was not asked for before.

    Vectors stay in memory for *seconds*, at most *size* of them; *table* keeps them for good. Calls of one moment for
    the same text share one request. It serves any number of tasks of one event loop.
    """

    def __init__(
        self,
        inner: Embedder,
        *,
        seconds: float = CACHE_SECONDS,
        size: int = CACHE_SIZE,
        table: VectorTable | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._memory: LruCache[_Key, Vector] = LruCache(size=size, seconds=seconds, clock=clock)
        self._table = table
        self._table_failures = 0
        self._table_rests_until = 0.0
        self._flights: dict[_Key, Flight[_Vectors]] = {}
        self._hits = {"memory": 0, "shared": 0, "table": 0}
        self._misses = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._inner!r})"

    @property
    def space(self) -> VectorSpace:
        """The space of *inner*."""
        return self._inner.space

    @property
    def stats(self) -> CacheStats:
        """What the cache did so far."""
        return CacheStats(
            **self._hits, misses=self._misses, entries=len(self._memory), table_failures=self._table_failures
        )

    def usage(self) -> Mapping[str, Any]:
        """Return the usage of *inner*, and `stats` under "cache"."""
        inner = self._inner.usage() if isinstance(self._inner, ReportsUsage) else dict[str, Any]()
        return {**inner, "cache": {**asdict(self.stats), "hit_rate": self.stats.hit_rate}}

    async def embed(self, texts: Sequence[str], purpose: EmbeddingPurpose = "document") -> Matrix:
        """Return what *inner* gives, or gave earlier, for each of *texts*; a text that comes twice is embedded once.

        A table that fails costs nothing but its help; it is logged. Cancelling one caller does not disturb others that
        wait for the same text. Raises what *inner* raises, and EmbeddingError when the embedder is closed.
        """
        if self._closed:
            raise self._closed_error()
        checked = checked_texts(texts)
        digests = [hashlib.sha256(text.encode()).digest() for text in checked]
        found: dict[bytes, Vector] = {}
        flights = self._boarded(dict(zip(digests, checked, strict=True)), purpose, found)
        try:
            for flight in flights:
                arrived = await flight.arrived()
                if arrived is None:
                    raise self._closed_error()
                found.update(arrived)
        finally:
            for flight in flights:
                flight.leave()
        vectors = np.empty((len(digests), self.space.dimension), dtype=np.float32)
        for row, digest in enumerate(digests):
            vectors[row] = found[digest]
        return vectors

    async def aclose(self) -> None:
        """Give up what is under way, forget the vectors in memory and close *inner*; twice does no harm."""
        self._closed = True
        flights = set(self._flights.values())
        for flight in flights:
            flight.cancel()
        for flight in flights:
            await flight.ended()
        self._memory.clear()
        await self._inner.aclose()

    def _boarded(
        self, wanted: Mapping[bytes, str], purpose: EmbeddingPurpose, found: dict[bytes, Vector]
    ) -> list[Flight[_Vectors]]:
        """Fill *found* with what is in memory; return the flights, all boarded, that bring the rest."""
        flights: dict[int, Flight[_Vectors]] = {}
        fresh: list[tuple[bytes, str]] = []
        for digest, text in wanted.items():
            vector = self._memory.get((purpose, digest))
            flight = self._flights.get((purpose, digest))
            if vector is not None:
                self._hits["memory"] += 1
                found[digest] = vector
            elif flight is not None and flight.is_open:
                self._hits["shared"] += 1
                flights[id(flight)] = flight
            else:
                fresh.append((digest, text))
        for start in range(0, len(fresh), _CHUNK):
            flight = self._departed(dict(fresh[start : start + _CHUNK]), purpose)
            flights[id(flight)] = flight
        for flight in flights.values():
            flight.board()
        return list(flights.values())

    def _departed(self, wanted: Mapping[bytes, str], purpose: EmbeddingPurpose) -> Flight[_Vectors]:
        flight = Flight(self._fetched(wanted, purpose))
        keys: list[_Key] = [(purpose, digest) for digest in wanted]
        self._flights.update(dict.fromkeys(keys, flight))
        flight.on_end(lambda: self._landed(keys, flight))
        return flight

    def _landed(self, keys: Sequence[_Key], flight: Flight[_Vectors]) -> None:
        for key in keys:
            # A flight that was cancelled may have a successor.
            if self._flights.get(key) is flight:
                del self._flights[key]

    async def _fetched(self, wanted: Mapping[bytes, str], purpose: EmbeddingPurpose) -> _Vectors:
        vectors = await self._read(purpose, list(wanted))
        self._hits["table"] += len(vectors)
        missing = [digest for digest in wanted if digest not in vectors]
        if missing:
            self._misses += len(missing)
            rows = await self._inner.embed([wanted[digest] for digest in missing], purpose)
            # Copies: a row that stays in memory would keep its whole matrix there.
            fresh = {digest: row.copy() for digest, row in zip(missing, rows, strict=True)}
            vectors |= fresh
            await self._write(purpose, fresh)
        for digest, vector in vectors.items():
            self._memory.put((purpose, digest), vector)
        return vectors

    async def _read(self, purpose: EmbeddingPurpose, digests: Sequence[bytes]) -> dict[bytes, Vector]:
        if self._table is None or self._table_is_resting:
            return {}
        try:
            return await self._table.read(self.space, purpose, digests)
        except MediaGatewayError as error:
            self._note_table_failure(error)
            return {}

    async def _write(self, purpose: EmbeddingPurpose, vectors: _Vectors) -> None:
        if self._table is None or self._table_is_resting:
            return
        try:
            await self._table.write(self.space, purpose, vectors)
        except MediaGatewayError as error:
            self._note_table_failure(error)

    @property
    def _table_is_resting(self) -> bool:
        return asyncio.get_running_loop().time() < self._table_rests_until

    def _note_table_failure(self, error: MediaGatewayError) -> None:
        if self._table_failures == 0:
            _log.warning("the table of embeddings cannot be used, so embedding goes on without it: %s", error)
        self._table_failures += 1
        self._table_rests_until = asyncio.get_running_loop().time() + _TABLE_REST

    def _closed_error(self) -> EmbeddingError:
        return EmbeddingError("the embedder is closed; open another one to embed with", model=self.space.model)
