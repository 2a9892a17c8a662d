"""Backups of a memory store: a snapshot of what snapshot and journal hold together, and restores by one renaming."""

import os
import secrets
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import anyio.to_thread

from media_gateway.errors import BackupError, SnapshotDamagedError
from media_gateway.models import BackupFacts, BackupKind, Restored
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.digests import RecordsDigest
from media_gateway.stores.memory.files import WriterLock, faults_of
from media_gateway.stores.memory.opening import replayed
from media_gateway.stores.memory.snapshot import SnapshotFacts, write_snapshot
from media_gateway.stores.memory.storage import StoredFiles
from media_gateway.stores.memory.tuning import IndexTuning
from media_gateway.whole_files import sync_folder


class MemoryBackup:
    """The memory store whose snapshot is at *path*, as what backups are taken of; another process may be writing to it."""

    kind: BackupKind = "memory"

    def __init__(self, path: Path) -> None:
        self._path = path

    async def write(self, path: Path) -> BackupFacts:
        """Write what was acknowledged by now to *path* as one snapshot, and return what is in it.

        Raises BackupError when there is no store yet, SnapshotDamagedError when its files are damaged, and
        StoreFullError.
        """
        return await anyio.to_thread.run_sync(self._write, path)

    async def advice(self, facts: BackupFacts) -> list[str]:
        """Return what the records will take of memory."""
        if facts.dimension is None:
            return []
        size = facts.count * facts.dimension * 4 / 2**20
        return [f"{facts.count:,} vectors take {size:,.0f} MiB of memory, half as much again with their index"]

    async def check(self, path: Path, facts: BackupFacts) -> None:
        """Read the snapshot at *path* as a store does, and compare it with *facts*."""
        await anyio.to_thread.run_sync(_loaded, path, facts)

    async def restore(self, path: Path, facts: BackupFacts, *, at: datetime) -> Restored:
        """Put the snapshot at *path* in the place of the store's files, which are kept beside it.

        Raises StoreLockedError when a process has the store open for writing, BackupError when the snapshot is damaged
        or holds something else, and StoreFullError.
        """
        return await anyio.to_thread.run_sync(self._restore, path, facts, at)

    def _write(self, path: Path) -> BackupFacts:
        files = StoredFiles(self._path)
        if files.space is None:
            raise BackupError(f"there is no memory store at {self._path}; load something first", path=str(self._path))
        collection = replayed(files, files.space, IndexTuning(), exact=True)
        facts = _snapshot_facts(collection, sequence=collection.sequence, previous_epoch=files.epoch)
        _write_collection(path, collection, facts)
        return _facts(collection)

    def _restore(self, path: Path, facts: BackupFacts, at: datetime) -> Restored:
        collection = _loaded(path, facts)
        lock = WriterLock(self._path)
        try:
            journal = self._path.with_name(self._path.name + ".journal")
            kept = self._kept_aside(journal, f"before-restore-{at:%Y%m%d%H%M%S}")
            epoch, sequence = self._present(journal)
            # A journal that a snapshot says it has swallowed is dropped, so that replacing the snapshot is all it takes.
            snapshot = _snapshot_facts(
                collection, sequence=max(sequence, collection.sequence) + 1, previous_epoch=epoch
            )
            _write_collection(self._path, collection, snapshot)
            journal.unlink(missing_ok=True)
            self._path.with_name(self._path.name + ".index").unlink(missing_ok=True)
            sync_folder(self._path.parent)
        finally:
            lock.release()
        advice = [] if kept is None else [f"the former files can be removed: {kept} and what begins with its name"]
        return Restored(place=f"the memory file {self._path}", kept=kept, advice=advice)

    def _present(self, journal: Path) -> tuple[str, int]:
        """Return epoch and sequence of the files that are there; damaged ones, which are kept aside, are taken away."""
        try:
            files = StoredFiles(self._path)
        except SnapshotDamagedError:
            # No store opens these, so nothing runs that could be lost between two steps.
            journal.unlink(missing_ok=True)
            return secrets.token_hex(16), 0
        if files.journal is None:
            # One that the snapshot has swallowed already, left by a crash, belongs to an older epoch still.
            journal.unlink(missing_ok=True)
        return files.epoch, files.sequence

    def _kept_aside(self, journal: Path, mark: str) -> str | None:
        """Give the present files second names with *mark*, and return that of the snapshot; None when there is nothing."""
        aside = self._path.with_name(f"{self._path.name}.{mark}")
        found = [
            (place, name)
            for place, name in ((self._path, aside), (journal, aside.with_name(f"{aside.name}.journal")))
            if place.exists()
        ]
        with faults_of(aside, "keep the former files as"):
            for place, name in found:
                try:
                    os.link(place, name)
                except FileExistsError:
                    # Another restore in this second has kept what ran before both.
                    raise
                except OSError:
                    # A file system without second names.
                    shutil.copy2(place, name)
            sync_folder(self._path.parent)
        return str(aside) if found else None


def _loaded(path: Path, facts: BackupFacts) -> Collection:
    """Return what the backup at *path* holds; raises BackupError unless that is what *facts* say."""
    try:
        files = StoredFiles(path)
    except SnapshotDamagedError as error:
        raise BackupError(f"the backup {path} is damaged: {error}", path=str(path)) from error
    if files.space is None:
        raise BackupError(f"the backup {path} is not there", path=str(path))
    collection = replayed(files, files.space, IndexTuning(), exact=True)
    found = _facts(collection)
    if found != replace(facts, versions=found.versions):
        raise BackupError(
            f"the backup {path} holds {found.count:,} records of {files.space}, and its manifest says {facts.count:,} of "
            f"{facts.model} ({facts.dimension} numbers) with another digest; nothing was changed: use another backup",
            path=str(path),
        )
    return collection


def _facts(collection: Collection) -> BackupFacts:
    digest = RecordsDigest(collection).whole()
    return BackupFacts(
        kind="memory",
        count=digest.count,
        model=collection.space.model,
        dimension=collection.space.dimension,
        digest=digest.text,
    )


def _snapshot_facts(collection: Collection, *, sequence: int, previous_epoch: str) -> SnapshotFacts:
    return SnapshotFacts(
        space=collection.space, sequence=sequence, epoch=secrets.token_hex(16), previous_epoch=previous_epoch
    )


def _write_collection(path: Path, collection: Collection, facts: SnapshotFacts) -> None:
    records = collection.records
    write_snapshot(
        path, facts, keys=records.keys, metadata=records.metadata, vectors=records.vectors, slots=records.living()
    )
