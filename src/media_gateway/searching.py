"""Searching a store, with a sample of the searches logged, and telling how it searches."""

import time
from dataclasses import replace
from datetime import UTC, datetime

from media_gateway.contracts import Explains, SearchLog, VectorStore
from media_gateway.errors import UnsupportedError
from media_gateway.models import Explanation, LoggedSearch, SearchKind, SearchRequest, SearchResult


class Searching:
    """Searches *store*, and gives *log* what it wants of them; None wants nothing."""

    def __init__(self, store: VectorStore, log: SearchLog | None) -> None:
        self._store = store
        self._log = log

    async def find(
        self, request: SearchRequest, kind: SearchKind, *, text: str | None = None, user: str | None = None
    ) -> SearchResult:
        """Return what the store finds for *request* of *user*; *kind* and *text* say what it was made of."""
        if user is not None:
            request = replace(request, user=user)
        log = self._log
        if log is None or request.vector is None or not log.wants():
            return await self._store.search(request)
        at = datetime.now(UTC)
        began = time.perf_counter()
        result = await self._store.search(request)
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
        if not isinstance(self._store, Explains):
            raise UnsupportedError(
                "this store cannot tell how it searches; open the memory or the postgres store itself",
                feature="explain",
                store=type(self._store).__name__,
            )
        return await self._store.explain(request)
