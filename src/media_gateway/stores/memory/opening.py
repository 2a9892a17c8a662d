"""Opening a memory store: which files are there, which vectors they hold, and what their journal adds."""

from dataclasses import replace
from pathlib import Path

import anyio.to_thread

from media_gateway.errors import ModelMismatchError, SettingsError
from media_gateway.models import VectorSpace
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.files import WriterLock
from media_gateway.stores.memory.indexer import Indexer
from media_gateway.stores.memory.journal import Journal, JournalFacts
from media_gateway.stores.memory.records import Records
from media_gateway.stores.memory.signs import SURE_RECALL
from media_gateway.stores.memory.storage import Storage, StoredFiles, load_index
from media_gateway.stores.memory.store import MemoryStore
from media_gateway.stores.memory.tuning import IndexTuning


async def open_memory_store(
    path: Path | None,
    *,
    space: VectorSpace | None,
    writable: bool = True,
    recall_target: float = 0.95,
    exact: bool = False,
    tuning: IndexTuning | None = None,
) -> MemoryStore:
    """Return the store whose snapshot is at *path*, which need not exist yet; with None nothing is kept on disk.

    *space* None means the one that the files record. *recall_target* is the recall@10 that approximate searches reach;
    1, like *exact*, means that every search scans. One process may open a store for writing, any number without
    *writable*: those see what was acknowledged when they opened it.

    Raises ModelMismatchError when the files hold vectors of another space, StoreLockedError when another process
    writes, SnapshotDamagedError when a file is not as it was written, StoreFullError when the folder cannot be written,
    and SettingsError when *space* is None and nothing is recorded.
    """
    chosen = tuning or IndexTuning()
    if recall_target > SURE_RECALL:
        chosen = replace(chosen, most_signs=0)
    is_exact = exact or recall_target >= 1
    opened = await anyio.to_thread.run_sync(lambda: _opened(path, space, chosen, writable=writable, exact=is_exact))
    collection, storage = opened
    indexer = Indexer(collection, recall_target)
    indexer.notice()
    return MemoryStore(collection, storage, indexer, writable=writable)


def _opened(
    path: Path | None, space: VectorSpace | None, tuning: IndexTuning, *, writable: bool, exact: bool
) -> tuple[Collection, Storage | None]:
    if path is None:
        chosen = _chosen_space(None, space, "a memory store without a file")
        return Collection(chosen, Records(chosen.dimension), tuning, exact=exact), None
    if not writable:
        return _loaded(StoredFiles(path), space, tuning, exact=exact), None
    lock = WriterLock(path)
    try:
        files = StoredFiles(path)
        collection = _loaded(files, space, tuning, exact=exact)
        return collection, _storage(files, lock, collection)
    except BaseException:
        lock.release()
        raise


def _chosen_space(recorded: VectorSpace | None, given: VectorSpace | None, what: str) -> VectorSpace:
    chosen = given or recorded
    if chosen is None:
        raise SettingsError(
            f"{what} records no embedding model yet; name the model and its dimension to open it",
            field="dimension",
            expected="a vector space",
        )
    return chosen


def _loaded(files: StoredFiles, space: VectorSpace | None, tuning: IndexTuning, *, exact: bool) -> Collection:
    recorded = files.space
    chosen = _chosen_space(recorded, space, str(files.path))
    collection = replayed(files, recorded or chosen, tuning, exact=exact)
    if chosen == collection.space:
        return collection
    if len(collection.records):
        raise ModelMismatchError(
            f"{files.path} holds {len(collection.records)} vectors of {collection.space}, and vectors of {chosen} cannot "
            "be compared with them; use the model that made them, or load the content anew into another "
            "RUVECTOR_MEMORY_PATH",
            given=chosen,
            expected=collection.space,
        )
    renewed = Collection(chosen, Records(chosen.dimension), tuning, exact=exact)
    renewed.sequence = collection.sequence
    return renewed


def replayed(files: StoredFiles, space: VectorSpace, tuning: IndexTuning, *, exact: bool) -> Collection:
    """Return what snapshot and journal hold together, with the index that was saved unless all searches are *exact*."""
    snapshot = files.snapshot
    if snapshot is None:
        records = Records(space.dimension)
    else:
        records = Records.loaded(snapshot.keys, snapshot.metadata, snapshot.vectors)
    collection = Collection(space, records, tuning, exact=exact)
    collection.sequence = files.sequence
    if snapshot is not None and not exact:
        load_index(files.path, files.epoch, collection)
    if files.journal is not None:
        for record in files.journal.records():
            collection.commit(collection.stage(record.change))
    return collection


def _storage(files: StoredFiles, lock: WriterLock, collection: Collection) -> Storage:
    facts = JournalFacts(space=collection.space, epoch=files.epoch, sequence=files.sequence)
    end = None if files.journal is None else files.journal.end
    storage = Storage(files.path, lock, Journal(files.journal_path, facts, end=end), files.epoch)
    storage.note_saved_index(collection)
    if files.space is not None and collection.space != files.space:
        # The collection was empty: its file takes the new space before the first record comes.
        storage.write(collection)
    return storage
