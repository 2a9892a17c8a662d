"""What the parts of a gateway promise one another.

Features meet here and do not import one another. What only some stores can is a Protocol of its own, asked for with
`isinstance`, never a flag.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from media_gateway.models import ContentVector, Matrix, SearchRequest, SearchResult, StoreStats, VectorSpace, WatchEvent


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


@runtime_checkable
class BulkLoads(Protocol):
    """A store that takes many new records faster than by upserts."""

    async def bulk_load(self, batches: AsyncIterator[Sequence[ContentVector]]) -> int:
        """Write the records of all *batches*, or none, and return how many; an existing key raises DuplicateKeyError."""
        ...


class EventSource(Protocol):
    """Where watch events come from, in the order of their times."""

    def events(self) -> AsyncIterator[WatchEvent]:
        """Yield every event."""
        ...
