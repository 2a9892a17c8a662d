"""The gateway: what a user holds. It embeds text, stores records and finds what is near."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio

from media_gateway.contracts import Embedder, VectorStore
from media_gateway.errors import InvalidRequestError, NotFoundError, shown
from media_gateway.filters import Condition
from media_gateway.json_values import canonical_object
from media_gateway.models import ContentVector, MediaContent, SearchRequest, SearchResult, StoreStats


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
        if not text.strip():
            raise InvalidRequestError(
                f"the search text is {shown(text)}; expected words to look for",
                field="text",
                given=text,
                expected="words",
            )
        canonical_object({"text": text}, field="search")
        (vector,) = await self._embedder.embed([text], "query")
        return await self._store.search(
            SearchRequest(vector=vector, k=k, where=where, min_score=min_score, exact=exact)
        )

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
        """Return the collection's count, dimension, model, sizes and index."""
        return await self._store.stats()

    async def aclose(self) -> None:
        """Release the model and the store, also while being cancelled; closing twice does no harm."""
        with anyio.CancelScope(shield=True):
            try:
                await self._embedder.aclose()
            finally:
                await self._store.aclose()
