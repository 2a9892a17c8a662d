"""A file of named sections, each under a checksum, that can be memory-mapped.

Layout::

    magic (8 bytes) | sections, each at a multiple of 64 bytes | footer: JSON | length of the footer: u64 | its digest

The footer comes last because the digests are known last. It holds what the writer wants to say about the file and, per
section, offset, length and BLAKE2b-128 digest. A cryptographic digest rather than a CRC, for two reasons: what is
mapped from here is handed to native code without further checks, and at 300 MB a CRC of 32 bits is not beyond doubt;
it costs about a second a gigabyte.
"""

import hashlib
import json
import mmap
import struct
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np

from media_gateway.errors import SnapshotDamagedError

Buffer: TypeAlias = bytes | bytearray | memoryview

ALIGNMENT: Final = 64
DIGEST_BYTES: Final = 16
_LENGTH: Final = struct.Struct("<Q")
_TRAILER_BYTES: Final = _LENGTH.size + DIGEST_BYTES


def digest(*parts: Buffer) -> bytes:
    """Return the BLAKE2b-128 digest of *parts*, one after the other."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        state.update(part)
    return state.digest()


class ContainerWriter:
    """Writes one container to *file*: sections first, then `finish`."""

    def __init__(self, file: BinaryIO, magic: bytes) -> None:
        self._file = file
        self._sections: dict[str, dict[str, Any]] = {}
        self._end = len(magic)
        file.write(magic)

    def add(self, name: str, parts: Iterable[Buffer]) -> None:
        """Write the section *name*: *parts*, one after the other."""
        padding = -self._end % ALIGNMENT
        self._file.write(bytes(padding))
        offset = self._end = self._end + padding
        state = hashlib.blake2b(digest_size=DIGEST_BYTES)
        for part in parts:
            view = memoryview(part).cast("B") if memoryview(part).nbytes else memoryview(b"")
            state.update(view)
            self._file.write(view)
            self._end += view.nbytes
        self._sections[name] = {"offset": offset, "length": self._end - offset, "digest": state.hexdigest()}

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write the footer with *facts*, which are JSON."""
        footer = json.dumps({"facts": facts, "sections": self._sections}).encode()
        length = _LENGTH.pack(len(footer))
        self._file.write(footer + length + digest(footer, length))


class Container:
    """A container as read: *facts*, and sections as views into the mapped file."""

    def __init__(self, path: Path, magic: bytes, *, kind: str) -> None:
        """Map *path* and verify all of it.

        Raises SnapshotDamagedError, calling the file a *kind*, when a byte is not as it was written, and the
        system's FileNotFoundError and other OSErrors.
        """
        self._path = path
        self._kind = kind
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < len(magic) + _TRAILER_BYTES:
                raise self._damaged(f"it has only {size} bytes")
            self._view = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        found = bytes(self._view[: len(magic)])
        if found != magic:
            raise self._damaged(f"it begins with {found!r} where {magic!r} was expected")
        footer = self._footer(size)
        self.facts: dict[str, Any] = footer["facts"]
        self._sections: dict[str, dict[str, Any]] = footer["sections"]
        with ThreadPoolExecutor(2) as pool:
            for name, sound in pool.map(self._verified, self._sections):
                if not sound:
                    raise self._damaged(f"its section {name!r} fails its checksum")

    def _footer(self, size: int) -> dict[str, Any]:
        length_at = size - _TRAILER_BYTES
        length = self._view[length_at : length_at + _LENGTH.size]
        begin = length_at - _LENGTH.unpack(length)[0]
        footer = self._view[max(begin, 0) : length_at]
        if begin < 0 or digest(footer, length) != bytes(self._view[size - DIGEST_BYTES :]):
            raise self._damaged("its end is cut off or fails its checksum")
        return json.loads(bytes(footer))

    def _verified(self, name: str) -> tuple[str, bool]:
        return name, digest(self.section(name)).hex() == self._sections[name]["digest"]

    def section(self, name: str) -> memoryview:
        """Return the bytes of the section *name*."""
        place = self._sections[name]
        return self._view[place["offset"] : place["offset"] + place["length"]]

    def array(self, name: str, kind: type[np.generic]) -> np.ndarray[Any, Any]:
        """Return the section *name* as a read-only array of *kind*."""
        return np.frombuffer(self.section(name), dtype=np.dtype(kind).newbyteorder("<"))

    def _damaged(self, finding: str) -> SnapshotDamagedError:
        return damaged(self._path, self._kind, finding)


def damaged(path: Path, kind: str, finding: str) -> SnapshotDamagedError:
    """Return the error for a *kind* of file at *path* that is not as it was written."""
    return SnapshotDamagedError(
        f"the {kind} {path} is damaged: {finding}; it was left as it is: restore it from a backup, or move it away",
        path=str(path),
    )
