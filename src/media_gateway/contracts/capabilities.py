"""What only some stores can, each a Protocol of its own."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from media_gateway.models import (
    ChangedKeys,
    ChangePosition,
    CollectionDigest,
    ContentVector,
    Explanation,
    Merged,
    Prewarmed,
    RowHash,
    SearchRequest,
    TuningReport,
)

OnStage: TypeAlias = Callable[[str, int, int | None], None]
"""Hears of long work: what it is, how much of it is done, and how much there is, None when nobody knows."""


@runtime_checkable
class BulkLoads(Protocol):
    """A store that takes many new records faster than by upserts."""

    async def bulk_load(
        self, batches: AsyncIterator[Sequence[ContentVector]], *, on_stage: OnStage | None = None
    ) -> int:
        """Write the records of all *batches*, or none, and return how many; an existing key raises DuplicateKeyError.

        *on_stage* hears of what follows the rows, such as the building of an index.
        """
        ...


@runtime_checkable
class Prewarms(Protocol):
    """A store whose index can be brought into memory before it is asked for."""

    async def prewarm(self) -> Prewarmed:
        """Bring the index into memory, as much as fits, and return how much was; searches go on meanwhile."""
        ...


@runtime_checkable
class Merges(Protocol):
    """A store that takes records beside those that it has, all in one step."""

    async def merge(self, batches: AsyncIterator[Sequence[ContentVector]], *, overwrite: bool) -> Merged:
        """Write the records of all *batches*, or none, and return how many.

        A record whose key is there already replaces the former one with *overwrite*, else it is left out. Raises
        DuplicateKeyError when the batches name a key twice.
        """
        ...


@runtime_checkable
class Digests(Protocol):
    """A store that can be compared with another one without its vectors being moved."""

    async def digest(self) -> CollectionDigest:
        """Return count and sum of the hashes of all records, as they are at one moment."""
        ...

    def row_hashes(self) -> AsyncIterator[list[RowHash]]:
        """Yield key and hash of every record in the order of the keys, as they are at one moment."""
        ...

    async def row_images(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return for each of *keys* the bytes that its record's hash is made of, None where there is no record."""
        ...


@runtime_checkable
class Samples(Protocol):
    """A store that picks records of all kinds without reading all."""

    async def sample_keys(self, count: int) -> list[str]:
        """Return the keys of up to *count* records, spread evenly; the same ones each time for the same keys."""
        ...


@runtime_checkable
class Explains(Protocol):
    """A store that tells how it answers a search."""

    async def explain(self, request: SearchRequest) -> Explanation:
        """Run the search of *request* as `search` would, and return the way that it went, why, and what it took."""
        ...


@runtime_checkable
class Tunes(Protocol):
    """A store whose searches can be set to a recall that is measured."""

    async def tune(
        self,
        *,
        target: float = 0.95,
        sample: int = 500,
        k: int = 10,
        apply: bool = True,
        try_indexes: bool = False,
    ) -> TuningReport:
        """Measure recall at *k* with *sample* queries against the exact answer, and choose the quickest searches for it.

        A recall counts as reaching *target* when the lower end of its confidence interval does. With *apply* the choice
        is recorded with the collection, and every process that searches it follows within a minute. With *try_indexes*
        other indexes are built on a sample of the records and measured too. Raises UnsupportedError where there is too little
        to measure.
        """
        ...


@runtime_checkable
class Changes(Protocol):
    """A store that tells what was changed, by whatever hand."""

    async def change_position(self) -> ChangePosition:
        """Return the place in the change log behind everything that is decided now.

        What is changed later, or was not committed yet, is read from there on. Raises UnsupportedError where no log is
        kept.
        """
        ...

    async def changes(self, since: ChangePosition, *, limit: int = 1000, beyond: bool = False) -> ChangedKeys:
        """Return the keys of at most *limit* changes from *since* on, each key once.

        The reading stops before transactions that still run, so that nothing is missed; with *beyond* it goes on to
        what was committed beside them, and the position stays before them, so that this is read again.
        """
        ...
