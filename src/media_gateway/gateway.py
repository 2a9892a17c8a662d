"""The gateway: what a user holds. It embeds text, stores records and finds what is near."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread

from media_gateway.contracts import Companion, Embedder, Learning, ReportsUsage, SearchLog, Tunes, VectorStore
from media_gateway.errors import NotFoundError, UnsupportedError
from media_gateway.filters import Condition
from media_gateway.json_values import canonical_object
from media_gateway.models import (
    Added,
    ContentVector,
    Explanation,
    HybridWeights,
    MediaContent,
    Recommendations,
    SearchMode,
    SearchRequest,
    SearchResult,
    StoreStats,
    TuningReport,
    UserPreferences,
    Vector,
    WatchEvent,
)
from media_gateway.searching import Searching, StoreInUse
from media_gateway.validation import check_not_blank, checked_items, checked_search_text, checked_vector


class Gateway:
    """An embedder and a store of the same vector space; made by `open_gateway`.

    Every method raises StoreUnavailableError when the store cannot be reached and EmbeddingError when the model
    fails. Used as an async context manager it closes itself, also when it is interrupted.
    """

    def __init__(
        self,
        store: VectorStore | StoreInUse,
        embedder: Embedder,
        *,
        search_log: SearchLog | None = None,
        learning: Learning | None = None,
        companions: Sequence[Companion] = (),
    ) -> None:
        self._use = store if isinstance(store, StoreInUse) else StoreInUse(store)
        self._embedder = embedder
        self._search_log = search_log
        self._searching = Searching(self._use, search_log)
        self._learning = learning
        self._companions = companions

    @property
    def store(self) -> VectorStore:
        """The store, for what needs no text; ask for it each time: a rollout that is set puts another one in its place."""
        return self._use.store

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
        existing = await self.store.get([content.key for content in contents])
        described = ((content, content.metadata()) for content in contents)
        fresh = [
            (content, metadata)
            for (content, metadata), record in zip(described, existing, strict=True)
            if record is None or record.metadata != metadata
        ]
        vectors = await self._embedder.embed([content.text for content, _ in fresh], "document")
        await self.store.upsert(
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
        checked = await anyio.to_thread.run_sync(checked_items, items, self.store.space.dimension)
        existing = await self.store.get([item.key for item in checked])
        fresh = [item for item, record in zip(checked, existing, strict=True) if item != record]
        await self.store.upsert(fresh)
        return Added(written=len(fresh), unchanged=len(checked) - len(fresh))

    async def search(
        self,
        text: str,
        *,
        mode: SearchMode = "meaning",
        weights: HybridWeights | None = None,
        k: int = 10,
        where: Condition | None = None,
        min_score: float | None = None,
        exact: bool = False,
        user: str | None = None,
    ) -> SearchResult:
        """Return the *k* records that answer *text* best and that pass *where*, best first.

        By *mode* they are nearest in "meaning", hold its "words" without the model being asked, or "hybrid", both,
        where *weights* say what either side counts. Texts with words may have quoted phrases, which must be there, and
        -words, which must not. *user*, who asks, is kept with the searches that are logged, and
        reads from one store during a rollout.

        Raises InvalidRequestError for an empty *text*, one of over 10,000 characters with words, another *mode* or a
        *k* outside 1..10,000, and UnsupportedError for words where the store has no text search.
        """
        sentence, words = checked_search_text(text, mode)
        request = SearchRequest(
            vector=None if sentence is None else await self.embed(sentence),
            text=words,
            weights=weights,
            k=k,
            where=where,
            min_score=min_score,
            exact=exact,
        )
        return await self._searching.find(request, "text", text=text, user=user)

    async def search_vector(
        self,
        vector: Vector | Sequence[float],
        *,
        k: int = 10,
        where: Condition | None = None,
        min_score: float | None = None,
        exact: bool = False,
        user: str | None = None,
    ) -> SearchResult:
        """Return the *k* records nearest to *vector*, (d,), and that pass *where*, best first; nothing is embedded.

        Raises DimensionMismatchError, InvalidVectorError, and InvalidRequestError for a *k* outside 1..10,000.
        """
        query = checked_vector(vector, self.store.space.dimension)
        request = SearchRequest(vector=query, k=k, where=where, min_score=min_score, exact=exact)
        return await self._searching.find(request, "vector", user=user)

    async def embed(self, text: str) -> Vector:
        """Return the unit vector that stands for *text* in a search, (d,) float32.

        Raises InvalidRequestError for an empty *text*.
        """
        check_not_blank(text)
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
        user: str | None = None,
    ) -> SearchResult:
        """Return the *k* records nearest to the record *key*, itself left out; raises NotFoundError for an unknown key."""
        record = await self.get(key)
        if record is None:
            raise NotFoundError(key)
        request = SearchRequest(
            vector=record.vector, k=k, where=where, min_score=min_score, exclude=(key,), exact=exact
        )
        return await self._searching.find(request, "similar", user=user)

    async def explain(
        self,
        text: str,
        *,
        k: int = 10,
        where: Condition | None = None,
        min_score: float | None = None,
        exact: bool = False,
    ) -> Explanation:
        """Search by meaning as `search` does, and return how the store did it: by which way, why, and in what time.

        Raises InvalidRequestError for an empty *text* or a *k* outside 1..10,000, and UnsupportedError for a store that
        cannot tell.
        """
        vector = await self.embed(text)
        return await self._searching.explain(
            SearchRequest(vector=vector, k=k, where=where, min_score=min_score, exact=exact)
        )

    async def tune(
        self, *, target: float = 0.95, sample: int = 500, k: int = 10, apply: bool = True, try_indexes: bool = False
    ) -> TuningReport:
        """Measure the recall of searches at *k* and choose the quickest ones that reach *target*; see `contracts.Tunes`.

        Raises UnsupportedError for a store that has nothing to tune, as the memory store, which does so by itself.
        """
        store = self.store
        if not isinstance(store, Tunes):
            raise UnsupportedError(
                "only the postgres store is tuned on request; the memory store measures its recall by itself",
                feature="tuning",
                store=type(store).__name__,
            )
        return await store.tune(target=target, sample=sample, k=k, apply=apply, try_indexes=try_indexes)

    async def note(self, events: Sequence[WatchEvent]) -> int:
        """Keep *events* without waiting until they are written, and return how many were taken.

        They are written within a tenth of a second or, while PostgreSQL is away, when it is back; those beyond a full
        queue are dropped. An event counts once, by its id, however often it is given. Raises InvalidInputError, and then
        takes none, and UnsupportedError under `memory`.
        """
        return self._learns("events").note(events)

    async def record(self, events: Sequence[WatchEvent]) -> int:
        """Write *events* and return how many of them were not there yet; when it returns they are durable.

        Raises InvalidInputError before anything is written, and UnsupportedError under `memory`.
        """
        return await self._learns("events").record(events)

    async def recommend(
        self, user: str, *, k: int = 10, where: Condition | None = None, exclude: Sequence[str] = ()
    ) -> Recommendations:
        """Return the *k* records that suit *user* best and that pass *where*, best first, each with its reasons.

        Records that the user has seen and the keys in *exclude* are left out. A user of whom nothing is known gets what is
        popular. What is learned follows the events when `media-gateway learn run` has read them. Raises
        InvalidRequestError for a *k* outside 1..10,000, and UnsupportedError under `memory`.
        """
        learning = self._learns("recommendations")
        return await learning.recommend(user, k=k, where=where, exclude=exclude, at=time.time())

    async def preferences(self, user: str) -> UserPreferences | None:
        """Return the preference profile of *user*, or None where nothing is known; UnsupportedError under `memory`."""
        return await self._learns("preferences").preferences(user)

    async def get(self, key: str) -> ContentVector | None:
        """Return the record *key*, or None when there is none."""
        (record,) = await self.store.get([key])
        return record

    async def remove(self, keys: Sequence[str]) -> int:
        """Remove the records of *keys* and return how many of them existed."""
        return await self.store.delete(keys)

    async def stats(self) -> StoreStats:
        """Return the collection's count, dimension, model, sizes and index.

        Its details have what embedding did so far in this process under "embedding", where the embedder counts that,
        what became of the searches to be logged under "search_log", where some are, and what became of events under
        "events", where there is learning.
        """
        stats = await self.store.stats()
        details = dict(stats.details)
        if isinstance(self._embedder, ReportsUsage):
            details["embedding"] = dict(self._embedder.usage())
        if self._search_log is not None:
            details["search_log"] = dict(self._search_log.measures())
        if self._learning is not None:
            details["events"] = dict(self._learning.measures())
        return replace(stats, details=details)

    async def aclose(self) -> None:
        """Release the model and the store, also while being cancelled; closing twice does no harm."""
        with anyio.CancelScope(shield=True):
            async with AsyncExitStack() as closing:
                # The last one first; each is closed whatever the others raise.
                closing.push_async_callback(self._use.aclose)
                if self._search_log is not None:
                    closing.push_async_callback(self._search_log.aclose)
                if self._learning is not None:
                    closing.push_async_callback(self._learning.aclose)
                closing.push_async_callback(self._embedder.aclose)
                for companion in self._companions:
                    closing.push_async_callback(companion.aclose)

    def _learns(self, feature: str) -> Learning:
        if self._learning is None:
            raise UnsupportedError(
                f"{feature} need PostgreSQL, where learning lives; open the gateway with RUVECTOR_BACKEND=postgres",
                feature=feature,
                store=type(self.store).__name__,
            )
        return self._learning
