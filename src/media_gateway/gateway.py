"""The gateway: what a user holds. It embeds text, stores records and finds what is near."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread

from media_gateway.contracts import Embedder, ReportsUsage, VectorStore
from media_gateway.errors import InvalidRequestError, NotFoundError, shown
from media_gateway.filters import Condition
from media_gateway.json_values import canonical_object
from media_gateway.models import ContentVector, MediaContent, SearchRequest, SearchResult, StoreStats, Vector
from media_gateway.validation import checked_items, checked_vector


@dataclass(frozen=True, kw_only=True)
class Added:
    """What `Gateway.add` did: *written* records are new or changed, *unchanged* ones were there already."""

    written: int
    unchanged: int


class Gateway:
    """An embedder and a store of the same vector space; made by `open_gateway`.

    Every method raises StoreUnavailableError when the store cannot be reached and EmbeddingError when the model
    fails. Used as an async context manager it closes itself, also when it is interrupted.
    """

    def __init__(self, store: VectorStore, embedder: Embedder) -> None:
        self._store = store
        self._embedder = embedder

    @property
    def store(self) -> VectorStore:
        """The store, for everything that needs no text."""
        return self._store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def add(self, contents: Sequence[MediaContent]) -> Added:
        """Embed *contents* and write them, all or none; content that is there unchanged is neither embedded nor written.

        Raises DuplicateKeyError when two contents have one key.
        """
        existing = await self._store.get([content.key for content in contents])
        fresh = [
            (content, content.metadata())
            for content, record in zip(contents, existing, strict=True)
            if record is None or record.metadata != content.metadata()
        ]
        vectors = await self._embedder.embed([content.text for content, _ in fresh], "document")
        await self._store.upsert(
            [
                ContentVector(key=content.key, vector=vector, metadata=metadata)
                for (content, metadata), vector in zip(fresh, vectors, strict=True)
            ]
        )
        return Added(written=len(fresh), unchanged=len(contents) - len(fresh))

    async def add_vectors(self, items: Sequence[ContentVector]) -> Added:
        """Write records that bring their own vectors, all or none; what is there bit for bit is not written again.

        The vectors must come from the model that the collection's space names; nothing is embedded. Raises
        DimensionMismatchError, InvalidVectorError, InvalidKeyError, InvalidMetadataError and DuplicateKeyError.
        """
        checked = await anyio.to_thread.run_sync(checked_items, items, self._store.space.dimension)
        existing = await self._store.get([item.key for item in checked])
        fresh = [item for item, record in zip(checked, existing, strict=True) if item != record]
        await self._store.upsert(fresh)
        return Added(written=len(fresh), unchanged=len(checked) - len(fresh))

    async def search(
        self,
        text: str,
        *,
        k: int = 10,
        where: Condition | None = None,
        min_score: float | None = None,
        exact: bool = False,
    ) -> SearchResult:
        """Return the *k* records whose meaning is nearest to *text* and that pass *where*, best first.

        Raises InvalidRequestError for an empty *text* or a *k* outside 1..10,000.
        """
        vector = await self.embed(text)
        return await self._store.search(
            SearchRequest(vector=vector, k=k, where=where, min_score=min_score, exact=exact)
        )

    async def search_vector(
        self,
        vector: Vector | Sequence[float],
        *,
        k: int = 10,
        where: Condition | None = None,
        min_score: float | None = None,
        exact: bool = False,
    ) -> SearchResult:
        """Return the *k* records nearest to *vector*, (d,), and that pass *where*, best first; nothing is embedded.

        Raises DimensionMismatchError, InvalidVectorError, and InvalidRequestError for a *k* outside 1..10,000.
        """
        query = checked_vector(vector, self._store.space.dimension)
        return await self._store.search(SearchRequest(vector=query, k=k, where=where, min_score=min_score, exact=exact))

    async def embed(self, text: str) -> Vector:
        """Return the unit vector that stands for *text* in a search, (d,) float32.

        Raises InvalidRequestError for an empty *text*.
        """
        if not text.strip():
            raise InvalidRequestError(
                f"the search text is {shown(text)}; expected words to look for",
                field="text",
                given=text,
                expected="words",
            )
        canonical_object({"text": text}, field="search")
        (vector,) = await self._embedder.embed([text], "query")
        return vector

    async def similar(
        self,
        key: str,
        *,
        k: int = 10,
        where: Condition | None = None,
        min_score: float | None = None,
        exact: bool = False,
    ) -> SearchResult:
        """Return the *k* records nearest to the record *key*, itself left out; raises NotFoundError for an unknown key."""
        record = await self.get(key)
        if record is None:
            raise NotFoundError(key)
        request = SearchRequest(
            vector=record.vector, k=k, where=where, min_score=min_score, exclude=(key,), exact=exact
        )
        return await self._store.search(request)

    async def get(self, key: str) -> ContentVector | None:
        """Return the record *key*, or None when there is none."""
        (record,) = await self._store.get([key])
        return record

    async def remove(self, keys: Sequence[str]) -> int:
        """Remove the records of *keys* and return how many of them existed."""
        return await self._store.delete(keys)

    async def stats(self) -> StoreStats:
        """Return the collection's count, dimension, model, sizes and index.

        Its details have what embedding did so far in this process under "embedding", where the embedder counts that.
        """
        stats = await self._store.stats()
        if not isinstance(self._embedder, ReportsUsage):
            return stats
        return replace(stats, details={**stats.details, "embedding": dict(self._embedder.usage())})

    async def aclose(self) -> None:
        """Release the model and the store, also while being cancelled; closing twice does no harm."""
        with anyio.CancelScope(shield=True):
            try:
                await self._embedder.aclose()
            finally:
                await self._store.aclose()
