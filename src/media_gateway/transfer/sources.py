"""Where a transfer reads: a store by its keys, or a file by its rows, each from the place where another run stopped."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

import anyio.to_thread

from media_gateway.contracts import VectorStore
from media_gateway.errors import FileFormatError
from media_gateway.models import ContentVector, VectorSpace
from media_gateway.transfer.record_files import RecordFile

BATCH: Final = 1_000
"""Records that are read, written and acknowledged together."""

Place: TypeAlias = str | int
"""How far a source was read: the last key of a store, or the number of rows of a file."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Records, and the *place* that reading goes on from behind them."""

    records: Sequence[ContentVector]
    place: Place


class Source(Protocol):
    """What is copied. *name* is how messages call it."""

    name: str

    @property
    def space(self) -> VectorSpace:
        """The model and dimension of every vector."""
        ...

    async def count(self) -> int | None:
        """Return the number of records, or None where only reading would tell."""
        ...

    async def identity(self) -> str:
        """Return text that changes when reading on from a place would not be sound any more."""
        ...

    def batches(self, after: Place | None = None) -> AsyncIterator[Batch]:
        """Yield the records behind *after*."""
        ...


class StoreSource:
    """A store, read in the order of its keys."""

    def __init__(self, store: VectorStore, name: str) -> None:
        self.store = store
        self.name = name

    @property
    def space(self) -> VectorSpace:
        """The store's space."""
        return self.store.space

    async def count(self) -> int | None:
        """Return the store's count."""
        return (await self.store.stats()).count

    async def identity(self) -> str:
        """Return the same for every state of the store: its records may change between two runs."""
        return "store"

    async def batches(self, after: Place | None = None) -> AsyncIterator[Batch]:
        """Yield the records whose keys stand behind *after*."""
        async for records in self.store.scan(after=None if after is None else str(after), batch_size=BATCH):
            yield Batch(records=records, place=records[-1].key)


class FileSource:
    """A file, read from its first row to its last."""

    def __init__(self, file: RecordFile, name: str) -> None:
        self.file = file
        self.name = name

    @property
    def space(self) -> VectorSpace:
        """What the file's vectors were made by."""
        return self.file.space

    async def count(self) -> int | None:
        """Return the number of the file's records."""
        return await anyio.to_thread.run_sync(self.file.count)

    async def identity(self) -> str:
        """Return size, time of change and a hash of the file's ends."""
        return await anyio.to_thread.run_sync(self.file.identity)

    async def batches(self, after: Place | None = None) -> AsyncIterator[Batch]:
        """Yield the records behind the first *after* rows; raises FileFormatError when the file changes meanwhile."""
        begin, row = int(after or 0), 0
        before = await self.identity()
        async for records in in_thread(self.file.batches(BATCH)):
            row += len(records)
            wanted = records[max(0, len(records) - (row - begin)) :] if row > begin else []
            if wanted:
                yield Batch(records=wanted, place=row)
        if await self.identity() != before:
            raise FileFormatError(
                f"{self.file.path} changed while it was read; expected a file that stays as it is",
                path=str(self.file.path),
            )


async def in_thread(batches: Iterator[_T]) -> AsyncIterator[_T]:
    """Yield what *batches* yields, each taken on a thread, so that signals are heard while a large file is read."""
    while (batch := await anyio.to_thread.run_sync(next, batches, None)) is not None:
        yield batch
