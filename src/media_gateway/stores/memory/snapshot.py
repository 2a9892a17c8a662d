"""The snapshot: everything that a memory store holds, in one file that is replaced as a whole.

Snapshot and journal are tied by *epochs*. Each snapshot bears a random epoch of its own and names the one before it; a
journal bears the epoch of the snapshot that it continues. So a journal is never applied to another snapshot than its
own, and one that a new snapshot has swallowed, left behind by a crash between the two steps, is known as such.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from media_gateway.models import Matrix, VectorSpace
from media_gateway.stores.memory.container import Container, ContainerWriter, damaged
from media_gateway.stores.memory.files import faults_of
from media_gateway.stores.memory.texts import lengths_of, split
from media_gateway.whole_files import replacing

_MAGIC: Final = b"MGSNAP\x001"
_VERSION: Final = 1
_ROWS_AT_ONCE: Final = 4096
"""Rows of vectors gathered before they are written: 12 MB at 768 numbers."""


@dataclass(frozen=True, kw_only=True)
class SnapshotFacts:
    """Which snapshot a file holds: *sequence* is the number of the last write in it."""

    space: VectorSpace
    sequence: int
    epoch: str
    previous_epoch: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """The records of a snapshot; *vectors* is a view into the mapped file."""

    facts: SnapshotFacts
    keys: list[str]
    metadata: list[bytes]
    vectors: Matrix


def write_snapshot(
    path: Path,
    facts: SnapshotFacts,
    *,
    keys: Sequence[str],
    metadata: Sequence[bytes],
    vectors: Matrix,
    slots: npt.NDArray[np.intp],
) -> None:
    """Replace the snapshot at *path* by the records in *slots* of the sequences and of the rows of *vectors*.

    Raises StoreFullError or StoreError; the former snapshot is then still there.
    """
    chosen: list[int] = slots.tolist()
    encoded = [keys[slot].encode() for slot in chosen]
    documents = [metadata[slot] for slot in chosen]
    with faults_of(path, "write the snapshot"), replacing(path) as file:
        writer = ContainerWriter(file, _MAGIC)
        writer.add("key_lengths", [lengths_of(encoded)])
        writer.add("keys", [b"".join(encoded)])
        writer.add("metadata_lengths", [lengths_of(documents)])
        writer.add("metadata", [b"".join(documents)])
        writer.add("vectors", _rows(vectors, slots))
        writer.finish(
            {
                "version": _VERSION,
                "model": facts.space.model,
                "dimension": facts.space.dimension,
                "count": len(chosen),
                "sequence": facts.sequence,
                "epoch": facts.epoch,
                "previous_epoch": facts.previous_epoch,
            }
        )


def _rows(vectors: Matrix, slots: npt.NDArray[np.intp]) -> Iterator[memoryview]:
    for begin in range(0, len(slots), _ROWS_AT_ONCE):
        yield np.ascontiguousarray(vectors[slots[begin : begin + _ROWS_AT_ONCE]], dtype="<f4").data


def read_snapshot(path: Path) -> Snapshot | None:
    """Return the snapshot at *path*, verified, or None when there is none.

    Raises SnapshotDamagedError when it is damaged or of another version.
    """
    if not path.exists():
        return None
    with faults_of(path, "read the snapshot"):
        container = Container(path, _MAGIC, kind="snapshot")
    facts: dict[str, Any] = container.facts
    if facts["version"] != _VERSION:
        raise damaged(path, "snapshot", f"it is of version {facts['version']}, and this program reads {_VERSION}")
    return Snapshot(
        facts=SnapshotFacts(
            space=VectorSpace(model=facts["model"], dimension=facts["dimension"]),
            sequence=facts["sequence"],
            epoch=facts["epoch"],
            previous_epoch=facts["previous_epoch"],
        ),
        keys=[key.decode() for key in split(container.array("key_lengths", np.uint32), container.section("keys"))],
        metadata=list(split(container.array("metadata_lengths", np.uint32), container.section("metadata"))),
        vectors=container.array("vectors", np.float32).reshape(facts["count"], facts["dimension"]),
    )
