"""What the parts of a gateway promise one another.

Features meet here and do not import one another. What only some stores can is a Protocol of its own, asked for with
`isinstance`, never a flag.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from media_gateway.filters import Condition
from media_gateway.models import (
    BackupFacts,
    BackupKind,
    ChangedKeys,
    ChangePosition,
    CollectionDigest,
    ContentVector,
    Explanation,
    LoggedSearch,
    Matrix,
    Merged,
    Prewarmed,
    Recommendations,
    Restored,
    RowHash,
    SearchRequest,
    SearchResult,
    StoreStats,
    TuningReport,
    UserPreferences,
    VectorSpace,
    WatchEvent,
)


class VectorStore(Protocol):
    """A collection of records, searched by the cosine similarity of their vectors.

    Every method raises StoreUnavailableError when the backend cannot be reached; nothing is then changed. Bad input
    is refused as a whole, with the errors of `media_gateway.validation`, before anything is written.
    """

    @property
    def space(self) -> VectorSpace:
        """The model and dimension of every vector in here."""
        ...

    async def upsert(self, items: Sequence[ContentVector]) -> None:
        """Write *items*, replacing records of the same keys; all of them or, on any error, none.

        When it returns the records are durable. Raises DuplicateKeyError when *items* name a key twice, and
        OutcomeUnknownError when the connection was lost while committing.
        """
        ...

    async def get(self, keys: Sequence[str]) -> list[ContentVector | None]:
        """Return the records of *keys* in that order, None where there is none; a key may be asked for twice."""
        ...

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove the records of *keys* and return how many of them existed."""
        ...

    async def search(self, request: SearchRequest) -> SearchResult:
        """Return the records nearest to the request's vector by cosine similarity, best first.

        When at least k records pass the filter, k candidates are found, by an exact scan where the index falls short;
        `min_score` then trims them. Raises UnsupportedError for a text search that this store cannot do.
        """
        ...

    def scan(self, *, after: str | None = None, batch_size: int = 1000) -> AsyncIterator[list[ContentVector]]:
        """Yield all records in the order of their keys (by code point), in lists of at most *batch_size*.

        Starts behind the key *after*. Records written while it runs may be seen or not; none is seen twice.
        """
        ...

    async def stats(self) -> StoreStats:
        """Return count, dimension, model, sizes and the index in use."""
        ...

    async def aclose(self) -> None:
        """Release everything; nothing acknowledged is lost, and closing twice does no harm."""
        ...


EmbeddingPurpose: TypeAlias = Literal["query", "document"]


class Embedder(Protocol):
    """Turns text into vectors of one space."""

    @property
    def space(self) -> VectorSpace:
        """The model's name and the dimension of its vectors."""
        ...

    async def embed(self, texts: Sequence[str], purpose: EmbeddingPurpose = "document") -> Matrix:
        """Return one unit vector a text: (n, d) float32, in the order of *texts*; (0, d) for none.

        Models that tell questions from passages are told by *purpose*. Raises EmbeddingError.
        """
        ...

    async def aclose(self) -> None:
        """Release the model or its connections."""
        ...


@runtime_checkable
class ReportsUsage(Protocol):
    """An embedder that counts what it does."""

    def usage(self) -> Mapping[str, Any]:
        """Return what it did so far in this process, as a JSON object: requests, tokens, cost, cache hits, ..."""
        ...


class SearchLog(Protocol):
    """Keeps a sample of the searches, off their path: no method but `aclose` waits, and none fails."""

    def wants(self) -> bool:
        """Return whether the next search is in the sample."""
        ...

    def add(self, search: LoggedSearch) -> None:
        """Take *search* to be written soon; it is dropped, and counted, where that cannot be done."""
        ...

    def measures(self) -> Mapping[str, Any]:
        """Return what it did so far in this process, as a JSON object: logged, dropped, waiting, ..."""
        ...

    async def aclose(self) -> None:
        """Write what waits, for a few seconds at most; closing twice does no harm."""
        ...


OnStage: TypeAlias = Callable[[str, int, int | None], None]
"""Hears of long work: what it is, how much of it is done, and how much there is, None when nobody knows."""


class BackedUp(Protocol):
    """What backups are taken of: the collection of one backend, with its files or its database."""

    @property
    def kind(self) -> BackupKind:
        """The backend whose backups these are."""
        ...

    async def write(self, path: Path) -> BackupFacts:
        """Write the collection of one moment to *path*, synced, and return what is in it.

        Nothing is held up meanwhile. What a failure leaves at *path* is the caller's to remove.
        """
        ...

    async def advice(self, facts: BackupFacts) -> list[str]:
        """Return what an operator should know before restoring a backup of *facts*, a sentence each."""
        ...

    async def check(self, path: Path, facts: BackupFacts) -> None:
        """Restore the backup at *path* beside what runs, compare it with *facts*, and remove it again.

        Raises BackupError when it cannot be restored or holds something else.
        """
        ...

    async def restore(self, path: Path, facts: BackupFacts, *, at: datetime) -> Restored:
        """Put the backup at *path* in the place of what runs, once it is restored beside it and agrees with *facts*.

        What ran is kept under a name with the time *at*. On any error it runs on unchanged. Raises BackupError.
        """
        ...


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


class Learning(Protocol):
    """Keeps what users do, and recommends by what was learned from it.

    Methods that wait raise StoreUnavailableError when the server cannot be reached.
    """

    def note(self, events: Sequence[WatchEvent]) -> int:
        """Take *events* to be written soon, and return how many were taken; those beyond a full queue are dropped.

        It never waits. Raises InvalidInputError, and then takes none.
        """
        ...

    async def record(self, events: Sequence[WatchEvent]) -> int:
        """Write *events*, and return how many of them were not there yet; when it returns they are durable."""
        ...

    async def recommend(
        self, user: str, *, k: int, where: Condition | None, exclude: Sequence[str], at: float
    ) -> Recommendations:
        """Return the *k* best records for *user* that pass *where*, without *exclude* and what the user has seen."""
        ...

    async def preferences(self, user: str) -> UserPreferences | None:
        """Return the preference profile of *user*, or None where there is none."""
        ...

    def measures(self) -> Mapping[str, Any]:
        """Return what became of the events that were noted in this process, as a JSON object."""
        ...

    async def aclose(self) -> None:
        """Write what waits, for a few seconds at most; closing twice does no harm."""
        ...


class EventSource(Protocol):
    """Where watch events come from, in the order of their times."""

    def events(self) -> AsyncIterator[WatchEvent]:
        """Yield every event."""
        ...
