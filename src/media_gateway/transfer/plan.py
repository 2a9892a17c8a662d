"""What a transfer will do, before it does anything: sizes, time, disk, conflicts, and what stands in its way."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from typing import Final

from media_gateway.contracts import Digests
from media_gateway.json_values import dump
from media_gateway.models import MAX_INDEXED_DIMENSION, ContentVector, VectorSpace
from media_gateway.transfer.comparison import HashStream, pairs
from media_gateway.transfer.copy import Conflicts
from media_gateway.transfer.ends import EndKind
from media_gateway.transfer.sources import Source

_PAGE: Final = 8_192
_ROW_REST: Final = 200
"""Bytes of a row beside vector and metadata: headers, key, generated columns."""
_METADATA_COPIES: Final = 2.0
"""What filters and full-text search generate from metadata is about as large as it, with their indexes."""
_GRAPH_REST: Final = 300
"""Bytes of an HNSW node beside its vector, with m = 16 (pgvector)."""
_MEMORY_REST: Final = 60
_SECONDS_A_ROW: Final[dict[EndKind, tuple[float, float]]] = {
    # Seconds a row and seconds a number of its vector, measured on two cores at 384 and 768 numbers; PostgreSQL's have
    # the index build in them.
    "memory": (2e-5, 5e-8),
    "postgres": (1.5e-4, 5e-7),
    "file": (2.5e-5, 5e-8),
}
_SECONDS_A_ROW_BY_BATCHES: Final = (5e-4, 1.1e-6)
"""The same for PostgreSQL where the index is kept up row by row: the processor's time for 3,000 rows of 768 numbers."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """The keys that both ends have: *identical* records, and *different* ones."""

    identical: int
    different: int

    @property
    def keys(self) -> int:
        """How many keys both ends have."""
        return self.identical + self.different


@dataclass(frozen=True, kw_only=True)
class TargetFacts:
    """The target as it is: its *kind*, its *space* and *count* where there is a collection, and where its disk is.

    *problem* is why it cannot be written to, or None. *folder* is None for a server on another machine.
    """

    kind: EndKind
    name: str
    space: VectorSpace | None
    count: int
    folder: Path | None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class TransferPlan:
    """What a transfer will do; *refusals* say why it cannot, one sentence each. Sizes are in bytes.

    *seconds* is rough: what a machine of two cores takes. *disk_free* is None where it cannot be seen.
    """

    source: str
    target: str
    space: VectorSpace
    count: int | None
    target_count: int
    overlap: Overlap
    written: int | None
    disk_needed: int | None
    disk_free: int | None
    seconds: float | None
    refusals: Sequence[str]


async def plan(
    source: Source,
    target: TargetFacts,
    sides: tuple[Digests, Digests] | None,
    *,
    conflicts: Conflicts,
    by_batches: bool = False,
) -> TransferPlan:
    """Return what a transfer of *source* to *target* will do, in one step or *by_batches*; only reads.

    *sides* are the two ends where both have records: their keys are then compared.
    """
    count = await source.count()
    overlap = Overlap(identical=0, different=0) if sides is None else await _overlap(*sides)
    sample = await _sample(source)
    kept = overlap.keys if conflicts == "skip" else 0
    written = None if count is None else count - kept
    needed = None if written is None else round(written * _row_bytes(target.kind, source.space, sample))
    free = None if target.folder is None else _free(target.folder)
    fixed, each = _SECONDS_A_ROW_BY_BATCHES if by_batches and target.kind == "postgres" else _SECONDS_A_ROW[target.kind]
    return TransferPlan(
        source=source.name,
        target=target.name,
        space=source.space,
        count=count,
        target_count=target.count,
        overlap=overlap,
        written=written,
        disk_needed=needed,
        disk_free=free,
        seconds=None if written is None else written * (fixed + each * source.space.dimension),
        refusals=list(_refusals(source, target, overlap, conflicts, needed, free)),
    )


async def _overlap(first: Digests, second: Digests) -> Overlap:
    identical = different = 0
    async for pair in pairs(HashStream(first.row_hashes()), HashStream(second.row_hashes())):
        if pair.first and pair.second:
            identical += pair.first == pair.second
            different += pair.first != pair.second
    return Overlap(identical=identical, different=different)


async def _sample(source: Source) -> Sequence[ContentVector]:
    async for batch in source.batches():
        return batch.records
    return []


def _row_bytes(kind: EndKind, space: VectorSpace, sample: Sequence[ContentVector]) -> float:
    texts = [len(dump(dict(record.metadata))) + len(record.key.encode()) for record in sample]
    text = sum(texts) / len(texts) if texts else 0.0
    vector = 4 * space.dimension
    if kind == "memory":
        # The journal and the snapshot that takes its place stand side by side for a moment.
        return 2 * (vector + text + _MEMORY_REST)
    if kind == "file":
        return vector + text
    row = vector + _METADATA_COPIES * text + _ROW_REST
    return _paged(row) + _paged(vector + _GRAPH_REST)


def _paged(item: float) -> float:
    """Return what an item takes in pages that hold whole items only."""
    return _PAGE / (_PAGE // item) if item < _PAGE else item


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return disk_usage(folder).free


def _refusals(  # noqa: PLR0917
    source: Source, target: TargetFacts, overlap: Overlap, conflicts: Conflicts, needed: int | None, free: int | None
) -> list[str]:
    found = [] if target.problem is None else [target.problem]
    space = source.space
    if target.space is not None and target.count and target.space != space:
        what = "dimension" if target.space.dimension != space.dimension else "model"
        found.append(
            f"another {what}: the source holds vectors of {space}, the target {target.count:,} of {target.space}; use an "
            "empty target, or the model that made them"
        )
    if target.kind == "postgres" and space.dimension > MAX_INDEXED_DIMENSION:
        found.append(
            f"the vectors have {space.dimension} numbers, and an HNSW index on PostgreSQL takes at most "
            f"{MAX_INDEXED_DIMENSION}"
        )
    if conflicts == "fail" and overlap.keys:
        are_there = "key is in the target already" if overlap.keys == 1 else "keys are in the target already"
        found.append(
            f"{overlap.keys:,} {are_there} ({overlap.identical:,} with the same record); choose --conflicts skip or "
            "overwrite"
        )
    if needed is not None and free is not None and needed > free:
        found.append(f"the disk is too small: about {needed:,} bytes are needed, {free:,} are free; free some")
    return found
