"""Copying in one step: the target gets every record, or stays as it is."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import anyio.to_thread

from media_gateway.contracts import BulkLoads, Merges, VectorStore
from media_gateway.errors import DuplicateKeyError, InvalidInputError, UnsupportedError, shown
from media_gateway.models import ContentVector
from media_gateway.transfer.record_writers import WRITERS
from media_gateway.transfer.replacing import fault, written_whole
from media_gateway.transfer.sources import Source

Conflicts: TypeAlias = Literal["fail", "skip", "overwrite"]
"""What becomes of a record whose key the target has already."""


class Watcher(Protocol):
    """Somebody who is told how far a transfer is."""

    def phase(self, what: str, total: int | None) -> None:
        """Learn that *what* begins, of *total* records; None when nobody knows yet how many."""
        ...

    def advance(self, rows: int) -> None:
        """Learn that *rows* records more are done."""
        ...

    def stage(self, what: str, done: int, total: int | None) -> None:
        """Learn how far the target is with *what* follows the records, such as building an index."""
        ...


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What a copy did: *read* records, of which *written* went into the target and *kept* met a record that stayed."""

    read: int = 0
    written: int = 0
    kept: int = 0


async def copy_into_store(source: Source, store: VectorStore, *, conflicts: Conflicts, watcher: Watcher) -> Copied:
    """Copy every record of *source* into *store* in one transaction.

    Raises DuplicateKeyError when a key comes twice and, under `fail`, when one is in the target; UnsupportedError when
    the store cannot write in one step; and what reading and writing raise. Nothing is then written.
    """
    read = _Counted(source, watcher)
    is_empty = (await store.stats()).count == 0
    if conflicts == "fail" or is_empty:
        if not isinstance(store, BulkLoads):
            raise _unsupported(store)
        try:
            written = await store.bulk_load(read.batches(), on_stage=watcher.stage)
        except DuplicateKeyError as error:
            key = error.given if isinstance(error.given, str) else None
            if is_empty or (key is not None and (await store.get([key]))[0] is None):
                raise
            raise conflict(key) from error
        return Copied(read=read.rows, written=written)
    if not isinstance(store, Merges):
        raise _unsupported(store)
    merged = await store.merge(read.batches(), overwrite=conflicts == "overwrite")
    return Copied(read=read.rows, written=merged.written, kept=merged.kept)


async def copy_into_file(source: Source, path: Path, *, conflicts: Conflicts, watcher: Watcher) -> Copied:
    """Write every record of *source* into the file *path*, which appears when it is complete.

    Raises DuplicateKeyError under `fail` when the file is there already, InvalidInputError under `skip`, StoreFullError,
    and what reading raises.
    """
    check_file(path, conflicts)
    read = _Counted(source, watcher)
    with written_whole(path) as file:
        try:
            writer = WRITERS[path.suffix.lower()](file, source.space)
            async for records in read.batches():
                await anyio.to_thread.run_sync(writer.write, records)
            await anyio.to_thread.run_sync(writer.finish)
        except OSError as error:
            raise fault(error, path) from error
    return Copied(read=read.rows, written=read.rows)


def check_file(path: Path, conflicts: Conflicts) -> None:
    """Raise unless a file may be written at *path*: a file is written whole, so none can be added to."""
    if conflicts == "skip":
        raise InvalidInputError(
            f"--conflicts is 'skip', but the file {path} is written whole; expected 'fail' or 'overwrite', which "
            "replaces the file",
            field="conflicts",
            given="skip",
            expected="fail or overwrite",
        )
    if conflicts == "fail" and path.exists():
        raise DuplicateKeyError(
            f"{path} is there already; choose another name, or replace it with --conflicts overwrite",
            field="to",
            given=str(path),
            expected="a file that does not exist yet",
        )


def conflict(key: str | None) -> DuplicateKeyError:
    """Return the error for a *key* that the target has already; None where the target does not tell which."""
    which = "at least one of these keys" if key is None else f"the key {shown(key)}"
    return DuplicateKeyError(
        f"the target has {which} already; choose --conflicts skip or overwrite",
        field="key",
        given=key,
        expected="a key that the target does not have",
    )


class _Counted:
    """The records of a source, counted as they are read."""

    def __init__(self, source: Source, watcher: Watcher) -> None:
        self._source = source
        self._watcher = watcher
        self.rows = 0

    async def batches(self) -> AsyncIterator[Sequence[ContentVector]]:
        self._watcher.phase("copying", await self._source.count())
        async for batch in self._source.batches():
            yield batch.records
            self.rows += len(batch.records)
            self._watcher.advance(len(batch.records))
        self._watcher.phase("finishing", None)


def _unsupported(store: VectorStore) -> UnsupportedError:
    name = type(store).__name__
    return UnsupportedError(
        f"{name} cannot take many records in one step; use --resumable", feature="transfer", store=name
    )
