"""The memory store: the contract of a store, kept in this process and, if wanted, in a file."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Final, NoReturn, Self

import anyio.to_thread
import numpy as np

from media_gateway.contracts import OnStage
from media_gateway.errors import StoreError, UnsupportedError
from media_gateway.json_values import parse
from media_gateway.models import (
    CollectionDigest,
    ContentVector,
    Explanation,
    Merged,
    RowHash,
    SearchRequest,
    SearchResult,
    StoreStats,
    VectorSpace,
)
from media_gateway.stores.memory.changes import Remove
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.digests import RecordsDigest
from media_gateway.stores.memory.index import NAME
from media_gateway.stores.memory.indexer import Indexer
from media_gateway.stores.memory.loading import BulkLoad, put_of
from media_gateway.stores.memory.records import RecordsView
from media_gateway.stores.memory.search import Contest, contest, explanation, prepared
from media_gateway.stores.memory.storage import Storage
from media_gateway.stores.memory.writer import Write, Writer
from media_gateway.validation import checked_keys, checked_page, checked_request

_FEW: Final = 64
"""Records that are checked, copied or parsed on the event loop; more of them take longer than the hop to a thread."""
_KEYS_SORTED_ON_LOOP: Final = 2_000


class MemoryStore:
    """A collection in the memory of this process, searched exactly while it is small and by an HNSW graph beyond.

    Made by `open_memory_store`. A search that takes well below a millisecond runs on the event loop; whatever takes
    longer runs in threads, and writes in one thread of the store's own, which syncs the journal before a write is
    acknowledged. To be used from one event loop. A write that is cancelled while it waits for its turn never happens;
    one cancelled later happens as a whole.
    """

    def __init__(self, collection: Collection, storage: Storage | None, indexer: Indexer, *, writable: bool) -> None:
        self._collection = collection
        self._storage = storage
        self._indexer = indexer
        self._writer = Writer(collection, storage, indexer)
        self._writable = writable
        self._closing: Future[None] | None = None

    @property
    def space(self) -> VectorSpace:
        """The model and dimension of every vector in here."""
        return self._collection.space

    async def upsert(self, items: Sequence[ContentVector]) -> None:
        """Write *items*, replacing records of the same keys; all of them or, on any error, none.

        They are on disk when it returns; records that are there already, bit for bit, are not written again. Raises
        the errors of `media_gateway.validation`, StoreFullError, and UnsupportedError when opened for reading only.
        """
        self._check_writable("upsert")
        if len(items) <= _FEW:
            change = put_of(items, self.space.dimension)
        else:
            change = await anyio.to_thread.run_sync(put_of, items, self.space.dimension)
        if change.keys:
            await self._written(Write(change=change))

    async def bulk_load(
        self,
        batches: AsyncIterator[Sequence[ContentVector]],
        *,
        on_stage: OnStage | None = None,  # noqa: ARG002  nothing follows the rows here
    ) -> int:
        """Write the records of all *batches*, or none, and return how many.

        They are held in memory until the last batch is there; the index is built in the background, of which *on_stage*
        hears nothing. Raises DuplicateKeyError for a key that exists already or comes twice, and what `upsert` raises.
        """
        self._check_writable("bulk_load")
        load = BulkLoad(self._collection)
        # Nothing, written behind all that was submitted before: what a key's batch is checked against is then there.
        await self._written(Write(change=load.change(), is_new=True))
        async for batch in batches:
            await anyio.to_thread.run_sync(load.add, batch)
        change = await anyio.to_thread.run_sync(load.change)
        return await self._written(Write(change=change, is_new=True)) if change.keys else 0

    async def merge(self, batches: AsyncIterator[Sequence[ContentVector]], *, overwrite: bool) -> Merged:
        """Write the records of all *batches*, or none; a key that is there is replaced with *overwrite*, else left.

        They are held in memory until the last batch is there. Raises DuplicateKeyError for a key that comes twice, and
        what `upsert` raises.
        """
        self._check_writable("merge")
        load = BulkLoad(self._collection, takes_known=True)
        async for batch in batches:
            await anyio.to_thread.run_sync(load.add, batch)
        change = await anyio.to_thread.run_sync(load.change)
        if not change.keys:
            return Merged()
        if overwrite:
            await self._written(Write(change=change))
            return Merged(written=len(change.keys))
        written = await self._written(Write(change=change, keeps_known=True))
        return Merged(written=written, kept=len(change.keys) - written)

    async def digest(self) -> CollectionDigest:
        """Return count and sum of the hashes of all records, as they are now."""
        return await anyio.to_thread.run_sync(self._digests().whole)

    async def row_hashes(self) -> AsyncIterator[list[RowHash]]:
        """Yield key and hash of every record in the order of the keys, as they are at the start."""
        rows = await anyio.to_thread.run_sync(self._digests().rows)
        while batch := await anyio.to_thread.run_sync(next, rows, None):
            yield batch

    async def row_images(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return for each of *keys* the bytes that its record's hash is made of, None where there is no record."""
        return await anyio.to_thread.run_sync(self._digests().images, checked_keys(keys))

    async def sample_keys(self, count: int) -> list[str]:
        """Return the keys of up to *count* records, spread evenly."""
        return await anyio.to_thread.run_sync(self._digests().sample, count)

    def _digests(self) -> RecordsDigest:
        self._check_open()
        return RecordsDigest(self._collection)

    async def get(self, keys: Sequence[str]) -> list[ContentVector | None]:
        """Return the records of *keys* in that order, None where there is none; a key may be asked for twice."""
        self._check_open()
        checked = checked_keys(keys)
        if len(checked) <= _FEW:
            return self._records(checked)
        return await anyio.to_thread.run_sync(self._records, checked)

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove the records of *keys* and return how many of them existed."""
        self._check_writable("delete")
        checked = checked_keys(keys)
        return await self._written(Write(change=Remove(keys=checked))) if checked else 0

    async def search(self, request: SearchRequest) -> SearchResult:
        """Return the records nearest to the request's vector by cosine similarity, best first.

        Exact when asked for, when the collection is small, and when so few records pass the filter that comparing them
        all is cheaper; otherwise approximate with the recall that the store was opened for, be it by the index or by
        comparing what signs do not rule out. Raises the errors of
        `media_gateway.validation.checked_request`, and UnsupportedError for a search by text.
        """
        checked = self._checked(request)
        ready = await self._ready(checked)
        if ready.is_quick(self._collection.tuning.loop_floats):
            return ready.result()
        return await anyio.to_thread.run_sync(ready.result)

    async def explain(self, request: SearchRequest) -> Explanation:
        """Search as *request* asks, and return how: by the index or by comparing all that qualify, and why.

        Raises what `search` raises.
        """
        began = time.perf_counter()
        checked = self._checked(request)
        ready = await self._ready(checked)
        preparing = (time.perf_counter() - began) * 1000
        found = await explanation(ready, self._collection.tuning.loop_floats)
        return replace(found, milliseconds=found.milliseconds + preparing)

    async def _ready(self, checked: SearchRequest) -> Contest:
        ready = contest(self._collection, checked) or await prepared(self._collection, checked)
        if ready.lacks_signs:
            self._indexer.notice()
        return ready

    def _checked(self, request: SearchRequest) -> SearchRequest:
        self._check_open()
        checked = checked_request(request, self.space.dimension)
        if checked.text is not None:
            raise UnsupportedError(
                "the memory store cannot search by words; search by meaning, or set RUVECTOR_BACKEND=postgres",
                feature="text search",
                store="memory",
            )
        return checked

    async def scan(self, *, after: str | None = None, batch_size: int = 1000) -> AsyncIterator[list[ContentVector]]:
        """Yield all records in the order of their keys (by code point), in lists of at most *batch_size*.

        Starts behind the key *after*. The keys are those of the moment of the start; records removed since are left
        out, records changed since come as they are when their turn comes.
        """
        self._check_open()
        checked_page(after, batch_size)
        if len(self._collection.records) <= _KEYS_SORTED_ON_LOOP:
            keys = self._keys(after)
        else:
            keys = await anyio.to_thread.run_sync(self._keys, after)
        for begin in range(0, len(keys), batch_size):
            found = [record for record in await self.get(keys[begin : begin + batch_size]) if record is not None]
            if found:
                yield found

    async def stats(self) -> StoreStats:
        """Return count, dimension, model, bytes of memory and the index in use.

        `table_bytes` and `index_bytes` are memory; `details` has the file's place and size, what the index covers and
        what recall it was measured to have.
        """
        self._check_open()
        collection = self._collection
        with collection.lock:
            index, records = collection.index, collection.records
            has_index = collection.wants_index() and index.living > 0 and index.calibration.expansion is not None
            is_new = collection.sequence == 0 and not len(records)
            details: dict[str, object] = {
                "bytes": "memory",
                "indexed": index.living,
                "replaced_nodes": index.gone,
                "filter_bytes": collection.columns.nbytes + collection.signs.nbytes,
                "exact": collection.exact,
            }
            if has_index:
                details |= {"ef_search": index.calibration.expansion, "measured_recall": index.calibration.recall}
            if self._storage is not None:
                details |= {"path": str(self._storage.path), "journal_bytes": self._storage.journal.size}
            return StoreStats(
                backend="memory",
                count=len(records),
                dimension=None if is_new else self.space.dimension,
                model=None if is_new else self.space.model,
                table_bytes=records.bytes_held,
                index_bytes=index.nbytes if len(index.graph) else 0,
                index=NAME if has_index else None,
                details=details,
            )

    async def settle(self) -> None:
        """Wait until the index covers every record and its recall is measured. Searches need not wait for this."""
        self._indexer.notice()
        await anyio.to_thread.run_sync(self._indexer.settle, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Write what is on its way, leave the files in order and give the lock back; closing twice does no harm."""
        if self._closing is None:
            self._closing = self._writer.close()
        # A caller that is cancelled here stops waiting; the closing goes on.
        await asyncio.shield(asyncio.wrap_future(self._closing))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _written(self, write: Write) -> int:
        return await asyncio.wrap_future(self._writer.submit(write))

    def _records(self, keys: Sequence[str]) -> list[ContentVector | None]:
        with self._collection.lock:
            records = self._collection.records
            slots = [records.slot_of.get(key, -1) for key in keys]
            view = records.view()
        return _built(view, slots)

    def _keys(self, after: str | None) -> list[str]:
        with self._collection.lock:
            keys = list(self._collection.records.slot_of)
        keys.sort()
        return keys if after is None else keys[bisect_right(keys, after) :]

    def _check_open(self) -> None:
        if self._closing is not None:
            raise StoreError("this store is closed; open it again")

    def _check_writable(self, what: str) -> None:
        self._check_open()
        if not self._writable:
            _refuse_writing(what)


def _built(view: RecordsView, slots: Sequence[int]) -> list[ContentVector | None]:
    rows = view.vectors[np.array([slot for slot in slots if slot >= 0], dtype=np.intp)]
    vectors = iter(rows)
    return [
        ContentVector(key=view.keys[slot], vector=next(vectors), metadata=parse(view.metadata[slot]))
        if slot >= 0
        else None
        for slot in slots
    ]


def _refuse_writing(what: str) -> NoReturn:
    raise UnsupportedError(
        f"{what} was refused: this store was opened for reading only; open it for writing",
        feature="writing",
        store="memory, for reading only",
    )
