"""The journal: what was written since the snapshot, synced before a write is acknowledged.

Layout::

    magic (8 bytes) | length of the head: u32 | head: JSON | its digest | records
    record: payload's length: u64 | sequence: u64 | digest of the payload | digest of these three | payload | end mark

The digest over a record's own head and the mark at its end tell the two ways apart in which a journal can be
unreadable. A process that is killed, or a machine that loses power, in the middle of an append leaves a last record
that is too short, or zeros where its end was to be: nobody was told that it was written, and it is cut off. Anything
else is damage, and is refused: a reader that took a flipped bit in a length for the end of the file would silently drop
acknowledged writes.
"""

import json
import logging
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from media_gateway.errors import OutcomeUnknownError, StoreError
from media_gateway.models import VectorSpace
from media_gateway.stores.memory.changes import Change, decode, encode
from media_gateway.stores.memory.container import DIGEST_BYTES, Buffer, damaged, digest
from media_gateway.stores.memory.files import faults_of
from media_gateway.whole_files import replacing

_log = logging.getLogger(__name__)

_MAGIC: Final = b"MGJRNL\x001"
_LENGTH: Final = struct.Struct("<I")
_RECORD: Final = struct.Struct(f"<QQ{DIGEST_BYTES}s")
_HEAD_BYTES: Final = _RECORD.size + DIGEST_BYTES
_END_MARK: Final = b"end\n"
_UNWRITTEN: Final = bytes(len(_END_MARK))
_JOINED_BYTES: Final = 1 << 20
"""Pieces are joined into one write up to this size; beyond it copying costs more than calls."""


@dataclass(frozen=True, kw_only=True)
class JournalFacts:
    """Which snapshot a journal continues: its *epoch*, and the *sequence* of the last write in it."""

    space: VectorSpace
    epoch: str
    sequence: int


@dataclass(frozen=True, kw_only=True)
class JournalRecord:
    """One acknowledged write and its number."""

    sequence: int
    change: Change


class JournalReader:
    """The complete records of the journal at *path*; `end` is where they end once all were read."""

    def __init__(self, path: Path) -> None:
        """Read the journal; raises FileNotFoundError, and SnapshotDamagedError when its head is unreadable."""
        self._path = path
        # Not mapped: the writer may cut the file back while another process reads it.
        self._data = memoryview(path.read_bytes())
        self.facts, self.end = self._head()

    def _head(self) -> tuple[JournalFacts, int]:
        begin = len(_MAGIC) + _LENGTH.size
        if len(self._data) < begin or bytes(self._data[: len(_MAGIC)]) != _MAGIC:
            raise self._damaged(f"it does not begin with {_MAGIC!r}")
        size = _LENGTH.unpack_from(self._data, len(_MAGIC))[0]
        end = begin + size + DIGEST_BYTES
        if len(self._data) < end or digest(self._data[: begin + size]) != bytes(self._data[begin + size : end]):
            raise self._damaged("its head fails its checksum")
        head = json.loads(bytes(self._data[begin : begin + size]))
        space = VectorSpace(model=head["model"], dimension=head["dimension"])
        return JournalFacts(space=space, epoch=head["epoch"], sequence=head["sequence"]), end

    def records(self) -> Iterator[JournalRecord]:
        """Yield the records in order, moving `end` behind each; stops at a record that a crash cut short.

        Raises SnapshotDamagedError at one that was damaged otherwise.
        """
        expected = self.facts.sequence + 1
        while self.end < len(self._data):
            payload = self._payload(expected)
            if payload is None:
                torn = len(self._data) - self.end
                _log.warning("%s ends in %d bytes of an unfinished write, which is left out", self._path, torn)
                return
            yield JournalRecord(sequence=expected, change=decode(payload, self.facts.space.dimension))
            self.end += _HEAD_BYTES + len(payload) + len(_END_MARK)
            expected += 1

    def _payload(self, expected: int) -> memoryview | None:
        rest = self._data[self.end :]
        if len(rest) < _HEAD_BYTES:
            return None
        length, sequence, payload_digest = _RECORD.unpack_from(rest)
        if digest(rest[: _RECORD.size]) != bytes(rest[_RECORD.size : _HEAD_BYTES]):
            if not any(rest):
                return None
            raise self._damaged(f"the head of write {expected} at byte {self.end} fails its checksum")
        if sequence != expected:
            raise self._damaged(f"write {sequence} stands at byte {self.end}, where write {expected} was expected")
        payload = rest[_HEAD_BYTES : _HEAD_BYTES + length]
        mark = bytes(rest[_HEAD_BYTES + length :][: len(_END_MARK)])
        if mark == _END_MARK and digest(payload) == payload_digest:
            return payload
        is_last = len(rest) <= _HEAD_BYTES + length + len(_END_MARK)
        if is_last and (len(mark) < len(_END_MARK) or mark == _UNWRITTEN):
            return None
        raise self._damaged(f"write {expected} at byte {self.end} fails its checksum")

    def _damaged(self, finding: str) -> Exception:
        return damaged(self._path, "journal", finding)


class Journal:
    """The journal of a store that writes."""

    def __init__(self, path: Path, facts: JournalFacts, *, end: int | None = None) -> None:
        """Continue the journal at *path* behind byte *end*, or with None start one with the first append."""
        self._path = path
        self.facts = facts
        self.size = end or 0
        self._descriptor = -1
        self._is_unsure = False
        if end is not None:
            with faults_of(path, "open the journal"):
                self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                self._cut()

    def append(self, sequence: int, changes: Sequence[Change]) -> None:
        """Write *changes* under the numbers from *sequence* on, and sync once.

        All of them or none: on an error the journal is cut back to where it was. Raises StoreFullError, StoreError,
        and OutcomeUnknownError when even the cut failed.
        """
        pieces: list[Buffer] = []
        for number, change in enumerate(changes, sequence):
            payload = encode(change)
            head = _RECORD.pack(sum(memoryview(part).nbytes for part in payload), number, digest(*payload))
            pieces += [head, digest(head), *payload, _END_MARK]
        with faults_of(self._path, "write to the journal"):
            if self._descriptor < 0:
                self._create()
            if self._is_unsure:
                self._cut()
        try:
            with faults_of(self._path, "write to the journal"):
                written = self._write(pieces)
                os.fdatasync(self._descriptor)
        except StoreError as error:
            self._undo(error)
            raise
        self.size += written

    def _create(self) -> None:
        space = self.facts.space
        head = json.dumps(
            {
                "model": space.model,
                "dimension": space.dimension,
                "epoch": self.facts.epoch,
                "sequence": self.facts.sequence,
            }
        ).encode()
        begin = _MAGIC + _LENGTH.pack(len(head)) + head
        with replacing(self._path) as file:
            file.write(begin + digest(begin))
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        self.size = os.lseek(self._descriptor, 0, os.SEEK_END)

    def _write(self, pieces: Sequence[Buffer]) -> int:
        total = sum(memoryview(piece).nbytes for piece in pieces)
        if total <= _JOINED_BYTES:
            pieces = [b"".join(pieces)]
        at = self.size
        for piece in pieces:
            rest = memoryview(piece)
            rest = rest.cast("B") if rest.nbytes else rest[:0]
            while rest.nbytes:
                count = os.pwrite(self._descriptor, rest[: 1 << 30], at)
                at += count
                rest = rest[count:]
        return total

    def _cut(self) -> None:
        os.ftruncate(self._descriptor, self.size)
        os.fdatasync(self._descriptor)
        self._is_unsure = False

    def _undo(self, error: StoreError) -> None:
        try:
            self._cut()
        except OSError as second:
            self._is_unsure = True
            raise OutcomeUnknownError(
                f"{error}; taking it back failed too ({second.strerror}): read before writing again"
            ) from error

    def restart(self, facts: JournalFacts) -> None:
        """Drop every record: the snapshot of *facts* holds them. The file is made anew with the next append."""
        self.close()
        self.facts = facts
        self.size = 0
        # A journal left behind here does no harm: it names the epoch before the snapshot's.
        with faults_of(self._path, "remove the journal"):
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
