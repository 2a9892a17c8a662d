"""Copying by batches, each acknowledged in a journal, so that a run that was cut off goes on where it stopped."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from media_gateway.contracts import Merges, VectorStore
from media_gateway.errors import OutcomeUnknownError, StoreError, UnsupportedError, shown
from media_gateway.models import ContentVector, Merged
from media_gateway.models.digests import row_hash
from media_gateway.transfer.copy import Conflicts, Copied, Watcher, conflict
from media_gateway.transfer.journal import TransferJournal
from media_gateway.transfer.sources import Batch, FileSource, Source

_ATTEMPTS: Final = 3


async def copy_by_batches(
    source: Source, store: VectorStore, journal: TransferJournal, *, conflicts: Conflicts, watcher: Watcher
) -> Copied:
    """Copy what *store* does not have yet of *source*, by the word of *journal*, and return the counts of all runs.

    A batch whose outcome is unknown, after a kill or a lost connection, is looked up: what is in the target bit for
    bit counts as written. *watcher* is told of former runs' records first. Raises DuplicateKeyError under `fail`, and
    StoreError when the target has lost what the journal says it has; batches before are in the target then.
    """
    if not isinstance(store, Merges):
        name = type(store).__name__
        raise UnsupportedError(f"{name} cannot take batches beside its records", feature="transfer", store=name)
    if journal.is_new and isinstance(source, FileSource):
        # A store's keys are unique and its vectors sound; a file's must be found so before the first batch is there.
        watcher.phase("checking", await source.count())
        async for batch in source.batches():
            watcher.advance(len(batch.records))
    await _check_target(store, journal)
    copied = journal.standing.copied
    journal.expected = await source.count()
    watcher.phase("copying", journal.expected)
    watcher.advance(copied.read)
    is_unsure = journal.standing.is_unsure
    async for batch in source.batches(journal.standing.place):
        if not is_unsure:
            journal.begin(batch)
        merged = await _written(store, batch, conflicts, is_unsure=is_unsure)
        is_unsure = False
        copied = Copied(
            read=copied.read + len(batch.records),
            written=copied.written + merged.written,
            kept=copied.kept + merged.kept,
        )
        journal.done(batch, copied)
        watcher.advance(len(batch.records))
    journal.finish()
    return copied


async def _check_target(store: VectorStore, journal: TransferJournal) -> None:
    last = journal.standing.last
    if last is None or (await store.get([last]))[0] is not None:
        return
    raise StoreError(
        f"the target has no record {shown(last)}, which {journal.path} says it was given; if the target was emptied, "
        "remove the journal to begin anew"
    )


async def _written(store: VectorStore, batch: Batch, conflicts: Conflicts, *, is_unsure: bool) -> Merged:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await _write(store, batch.records, conflicts, is_unsure=is_unsure)
        except OutcomeUnknownError:
            is_unsure = True
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


async def _write(
    store: VectorStore, records: Sequence[ContentVector], conflicts: Conflicts, *, is_unsure: bool
) -> Merged:
    if conflicts == "overwrite":
        await store.upsert(records)
        return Merged(written=len(records))
    if not isinstance(store, Merges):
        raise TypeError(f"{type(store).__name__} cannot merge")
    if conflicts == "fail" and not is_unsure:
        await _refuse_known(store, records)
    merged = await store.merge(_one(records), overwrite=False)
    if merged.kept and conflicts == "fail":
        # Written by a run that did not live to note it, or by somebody else since: told apart by their bits.
        return await _own(store, records)
    return merged


async def _refuse_known(store: VectorStore, records: Sequence[ContentVector]) -> None:
    for found in await store.get([record.key for record in records]):
        if found is not None:
            raise conflict(found.key)


async def _own(store: VectorStore, records: Sequence[ContentVector]) -> Merged:
    for record, found in zip(records, await store.get([record.key for record in records]), strict=True):
        if found is None or row_hash(found) != row_hash(record):
            raise conflict(record.key)
    return Merged(written=len(records))


async def _one(records: Sequence[ContentVector]) -> AsyncIterator[Sequence[ContentVector]]:
    yield records
