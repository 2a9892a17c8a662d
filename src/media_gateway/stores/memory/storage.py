"""The files of one memory store: snapshot, journal, saved index and lock, and how they come together."""

import logging
import secrets
from pathlib import Path
from typing import Any, Final

import numpy as np

from media_gateway.errors import SnapshotDamagedError, StoreError
from media_gateway.models import VectorSpace
from media_gateway.stores.memory.collection import Collection
from media_gateway.stores.memory.container import Container, ContainerWriter, damaged
from media_gateway.stores.memory.files import WriterLock, faults_of
from media_gateway.stores.memory.index import Calibration, Graph
from media_gateway.stores.memory.journal import Journal, JournalFacts, JournalReader
from media_gateway.stores.memory.snapshot import Snapshot, SnapshotFacts, read_snapshot, write_snapshot
from media_gateway.whole_files import replacing

_log = logging.getLogger(__name__)

_INDEX_MAGIC: Final = b"MGINDX\x001"
_READ_ATTEMPTS: Final = 5
_SMALLEST_COMPACTION: Final = 64 * 2**20
"""A journal below this is not worth writing everything anew while the store is in use."""
_CHEAP_CLOSE: Final = 64 * 2**20
"""Bytes of records that are written anew on closing, however short the journal: about a second."""
_JOURNAL_SHARE: Final = 0.5
"""A journal that grew to this share of the records is worth writing everything anew."""
_INDEX_SHARE: Final = 0.1
"""Nodes added since the index was saved that make it worth saving again."""


class StoredFiles:
    """What the files of the store at *path* held together at one moment."""

    def __init__(self, path: Path) -> None:
        """Read snapshot and journal; raises SnapshotDamagedError when either is damaged or they do not belong together."""
        self.path = path
        self.journal_path = path.with_name(path.name + ".journal")
        self.snapshot, self.journal = self._pair()
        self.epoch, self.sequence = self._tie()

    def _pair(self) -> tuple[Snapshot | None, JournalReader | None]:
        """Read both files, again when a writer replaced the snapshot in between."""
        for _ in range(_READ_ATTEMPTS):
            before = _identity(self.path)
            snapshot = read_snapshot(self.path)
            try:
                with faults_of(self.journal_path, "read the journal"):
                    journal = JournalReader(self.journal_path)
            except StoreError as error:
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                journal = None
            if _identity(self.path) == before:
                return snapshot, journal
        raise StoreError(f"{self.path} is being replaced again and again; try once more when its writer is less busy")

    def _tie(self) -> tuple[str, int]:
        """Return epoch and sequence of what the journal continues, having dropped a journal that is in the snapshot."""
        journal = self.journal
        facts = None if self.snapshot is None else self.snapshot.facts
        if facts is None:
            if journal is None:
                return secrets.token_hex(16), 0
            if journal.facts.sequence:
                raise self._torn_apart(f"it continues a snapshot that is not at {self.path}")
            return journal.facts.epoch, 0
        if journal is not None and journal.facts.epoch != facts.epoch:
            if journal.facts.epoch != facts.previous_epoch or journal.facts.sequence > facts.sequence:
                raise self._torn_apart(f"it continues another snapshot than the one at {self.path}")
            self.journal = None
        return facts.epoch, facts.sequence

    def _torn_apart(self, finding: str) -> SnapshotDamagedError:
        return damaged(self.journal_path, "journal", finding)

    @property
    def space(self) -> VectorSpace | None:
        """The space that the files record."""
        if self.snapshot is not None:
            return self.snapshot.facts.space
        return None if self.journal is None else self.journal.facts.space


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class Storage:
    """The files of a store that writes."""

    def __init__(self, path: Path, lock: WriterLock, journal: Journal, epoch: str) -> None:
        self.path = path
        self.journal = journal
        self._lock = lock
        self._epoch = epoch
        self._saved_nodes = 0
        self._saved_calibration = 0
        self._compact_at = _SMALLEST_COMPACTION

    def note_saved_index(self, collection: Collection) -> None:
        """Take the index as it is now for the one on disk."""
        self._saved_nodes = len(collection.index.graph)
        self._saved_calibration = collection.index.calibration.count

    def compact_if_due(self, collection: Collection) -> None:
        """Write everything anew when the journal has grown long. Failing is no harm, since the journal holds it all."""
        if self.journal.size < max(self._compact_at, _JOURNAL_SHARE * collection.records.bytes_held):
            return
        try:
            self.write(collection)
        except StoreError as error:
            self._compact_at = 2 * self.journal.size
            _log.warning("the snapshot could not be written, the journal grows on: %s", error)

    def write(self, collection: Collection) -> None:
        """Write snapshot and index anew and begin a new journal; nodes must not be added meanwhile.

        The index is complete on disk before the snapshot is replaced and takes its name right after, so that a crash
        hardly ever leaves a snapshot without its index. Raises StoreFullError or StoreError; all is then as before.
        """
        facts = SnapshotFacts(
            space=collection.space,
            sequence=collection.sequence,
            epoch=secrets.token_hex(16),
            previous_epoch=self._epoch,
        )
        index_path = _index_path(self.path)
        if collection.index.living:
            with faults_of(index_path, "write the index"), replacing(index_path) as file:
                _write_index(ContainerWriter(file, _INDEX_MAGIC), collection, facts.epoch)
                self._write_snapshot(collection, facts)
        else:
            self._write_snapshot(collection, facts)
        self.note_saved_index(collection)

    def _write_snapshot(self, collection: Collection, facts: SnapshotFacts) -> None:
        records = collection.records
        slots = records.living()
        write_snapshot(
            self.path, facts, keys=records.keys, metadata=records.metadata, vectors=records.vectors, slots=slots
        )
        self._epoch = facts.epoch
        self._compact_at = _SMALLEST_COMPACTION
        self.journal.restart(JournalFacts(space=facts.space, epoch=facts.epoch, sequence=facts.sequence))

    def close(self, collection: Collection, *, rewrite: bool = True) -> None:
        """Leave the files so that they open quickly, as far as that is cheap and *rewrite* allows; give the lock back."""
        try:
            if rewrite and self._is_worth_writing(collection):
                self.write(collection)
        except StoreError as error:
            _log.warning("the snapshot could not be written on closing; the journal holds everything: %s", error)
        finally:
            self.journal.close()
            self._lock.release()

    def _is_worth_writing(self, collection: Collection) -> bool:
        size, index = collection.records.bytes_held, collection.index
        if self.journal.size and (size < _CHEAP_CLOSE or self.journal.size > _JOURNAL_SHARE * size):
            return True
        added = len(index.graph) - self._saved_nodes
        return added > _INDEX_SHARE * len(index.graph) or index.calibration.count != self._saved_calibration


def _index_path(path: Path) -> Path:
    return path.with_name(path.name + ".index")


def _write_index(writer: ContainerWriter, collection: Collection, epoch: str) -> None:
    slots = collection.index.graph.slots
    rows = np.full(collection.records.used + 1, -1, dtype=np.int64)
    living = collection.records.living()
    rows[living] = np.arange(len(living))
    writer.add("graph", [collection.index.graph.saved()])
    # Slots are numbered anew by the snapshot; the place more than there are slots is for those that are gone.
    writer.add("rows", [rows[slots].astype("<i8").data])
    writer.finish({"epoch": epoch, "dimension": collection.space.dimension, **collection.index.facts()})


def load_index(path: Path, epoch: str, collection: Collection) -> None:
    """Give *collection*, as just read from the snapshot of *epoch*, the index saved with it.

    An index that is missing, damaged or of another snapshot is passed over: it is derived, and made again.
    """
    place = _index_path(path)
    if not place.exists():
        return
    try:
        container = Container(place, _INDEX_MAGIC, kind="index")
        expected = {"epoch": epoch, "dimension": collection.space.dimension, **collection.index.facts()}
        facts: dict[str, Any] = container.facts
        if any(facts[name] != expected[name] for name in ("epoch", "dimension", "connectivity", "expansion_add")):
            _log.info("%s belongs to another snapshot; the index is built anew", place)
            return
        graph = Graph(collection.space.dimension, collection.tuning)
        graph.load(container.section("graph"), container.array("rows", np.int64))
    except (SnapshotDamagedError, OSError, KeyError, ValueError, RuntimeError) as error:
        _log.warning("the index is built anew, since it cannot be read: %s", error)
        return
    collection.index.adopt(graph, collection.records.alive)
    if facts["calibrated_at"]:
        collection.index.calibration = Calibration(
            expansion=facts["expansion"],
            recall=facts["recall"],
            count=facts["calibrated_at"],
            # Files written before there were witnesses do not say.
            is_witnessed=facts.get("is_witnessed", False),
        )
