"""What every store of vectors does."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from media_gateway.models import ContentVector, SearchRequest, SearchResult, StoreStats, VectorSpace


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
