"""Searching a store, with a sample of the searches logged, and telling how it searches."""

import time
from dataclasses import replace
from datetime import UTC, datetime

from media_gateway.contracts import Explains, SearchLog, VectorStore
from media_gateway.errors import UnsupportedError
from media_gateway.models import Explanation, LoggedSearch, SearchKind, SearchRequest, SearchResult


class StoreInUse:
    """The store that a gateway answers by, which another one may follow while it runs."""

    def __init__(self, store: VectorStore) -> None:
        self.store = store
        """Looked up for each call: what is under way ends with the store that it began with."""

    def turn_to(self, store: VectorStore) -> None:
        """Answer by *store*, of the same space, from now on; the former one is not closed."""
        self.store = store

    async def aclose(self) -> None:
        """Close the store that is in use by then."""
        await self.store.aclose()


class Searching:
    """Searches the store in use, and gives *log* what it wants of them; None wants nothing."""

    def __init__(self, use: StoreInUse, log: SearchLog | None) -> None:
        self._use = use
        self._log = log

    async def find(
        self, request: SearchRequest, kind: SearchKind, *, text: str | None = None, user: str | None = None
    ) -> SearchResult:
        """Return what the store finds for *request* of *user*; *kind* and *text* say what it was made of."""
        if user is not None:
            request = replace(request, user=user)
        log = self._log
        if log is None or request.vector is None or not log.wants():
            return await self._use.store.search(request)
        at = datetime.now(UTC)
        began = time.perf_counter()
        result = await self._use.store.search(request)
        log.add(
            LoggedSearch(
                at=at,
                kind=kind,
                vector=request.vector,
                k=request.k,
                where=request.where,
                keys=[hit.key for hit in result.hits],
                exact=result.exact,
                latency_ms=(time.perf_counter() - began) * 1000,
                text=text,
                user=user,
            )
        )
        return result

    async def explain(self, request: SearchRequest) -> Explanation:
        """Return how the store answers *request*; raises UnsupportedError where it cannot tell."""
        store = self._use.store
        if not isinstance(store, Explains):
            raise UnsupportedError(
                "this store cannot tell how it searches; open the memory or the postgres store itself",
                feature="explain",
                store=type(store).__name__,
            )
        return await store.explain(request)
