"""A store whose operations are timed and counted, and whose searches are sampled."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Protocol

from media_gateway.contracts import VectorStore
from media_gateway.errors import InvalidInputError, MediaGatewayError, UnsupportedError
from media_gateway.models import ContentVector, SearchRequest, SearchResult, StoreStats, VectorSpace
from media_gateway.monitoring.metrics import Metrics

_OPERATIONS: Final = ("search", "get", "upsert", "delete")
_REFUSALS: Final = (InvalidInputError, UnsupportedError)
"""What the caller did wrong; the store is well."""


class HearsSearches(Protocol):
    """Is told of every search that was answered; must take no time and never fail."""

    def saw(self, request: SearchRequest, result: SearchResult) -> None:
        """Take note of *request* and its *result*."""
        ...


class StoreObserver:
    """Counts what the store called *name* does; *records* returns how many records are known to be there.

    None of its methods waits or fails.
    """

    def __init__(self, metrics: Metrics, name: str, *, records: Callable[[], float | None]) -> None:
        self._metrics = metrics
        self._name = name
        self._records = records
        self._seconds = {operation: metrics.operation_seconds.labels(operation, name) for operation in _OPERATIONS}
        self._exact = metrics.searches.labels(name, "exact")
        self._index = metrics.searches.labels(name, "index")
        self._short = metrics.short_searches.labels(name)

    def took(self, operation: str, seconds: float) -> None:
        """Count an *operation* that was answered."""
        self._seconds[operation].observe(seconds)

    def failed(self, operation: str, seconds: float, error: BaseException) -> None:
        """Count an *operation* that ended with *error*; one that was given up or refused as bad input is no failure."""
        if isinstance(error, _REFUSALS) or not isinstance(error, Exception):
            return
        self._seconds[operation].observe(seconds)
        # Only our own errors by name, so that there is an end to them.
        kind = type(error).__name__ if isinstance(error, MediaGatewayError) else "other"
        self._metrics.operation_errors.labels(operation, self._name, kind).inc()

    def found(self, request: SearchRequest, result: SearchResult) -> None:
        """Count a search by its way, and whether it came back short."""
        (self._exact if result.exact else self._index).inc()
        if len(result.hits) < request.k and is_short(request, result, self._records()):
            self._short.inc()


def is_short(request: SearchRequest, result: SearchResult, records: float | None) -> bool:
    """Return whether *result* lacks hits that there must be, as far as can be told with *records* in the collection.

    An answer to words ends with the words, and one with a bound on the score where the score falls below it; both may be
    short by right, and so may an exact one with a filter.
    """
    if len(result.hits) >= request.k:
        return False
    if not result.exhausted:
        return True
    if request.text is not None or request.min_score is not None:
        return False
    if request.where is not None:
        return not result.exact
    return records is not None and records >= request.k + len(request.exclude)


class ObservedStore:
    """A `VectorStore` before *inner*, which tells *observer* how its operations went, and *sampler* of its searches.

    Made by `observed`, which gives it whatever else *inner* can.
    """

    def __init__(self, inner: VectorStore, observer: StoreObserver, sampler: HearsSearches | None) -> None:
        self._inner = inner
        self._observer = observer
        self._sampler = sampler

    @property
    def inner(self) -> VectorStore:
        """The store behind this one."""
        return self._inner

    @property
    def space(self) -> VectorSpace:
        """The model and dimension of every vector in here."""
        return self._inner.space

    async def search(self, request: SearchRequest) -> SearchResult:
        began = time.perf_counter()
        try:
            result = await self._inner.search(request)
        except BaseException as error:
            self._observer.failed("search", time.perf_counter() - began, error)
            raise
        self._observer.took("search", time.perf_counter() - began)
        self._observer.found(request, result)
        if self._sampler is not None:
            self._sampler.saw(request, result)
        return result

    async def get(self, keys: Sequence[str]) -> list[ContentVector | None]:
        with _Timed(self._observer, "get"):
            return await self._inner.get(keys)

    async def upsert(self, items: Sequence[ContentVector]) -> None:
        with _Timed(self._observer, "upsert"):
            await self._inner.upsert(items)

    async def delete(self, keys: Sequence[str]) -> int:
        with _Timed(self._observer, "delete"):
            return await self._inner.delete(keys)

    def scan(self, *, after: str | None = None, batch_size: int = 1000) -> AsyncIterator[list[ContentVector]]:
        return self._inner.scan(after=after, batch_size=batch_size)

    async def stats(self) -> StoreStats:
        return await self._inner.stats()

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Timed:
    """Tells *observer* how the block went."""

    def __init__(self, observer: StoreObserver, operation: str) -> None:
        self._observer = observer
        self._operation = operation
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        seconds = time.perf_counter() - self._began
        if error is None:
            self._observer.took(self._operation, seconds)
        else:
            self._observer.failed(self._operation, seconds, error)


def observed(inner: VectorStore, observer: StoreObserver, sampler: HearsSearches | None = None) -> ObservedStore:
    """Return *inner* observed; it has every further public method and property of *inner*, whatever these are.

    So the Protocols of what only some stores can, which are asked for with `isinstance`, hold for it as for *inner*.
    """
    kind = type(inner)
    further = {name for name in dir(kind) if not name.startswith("_")} - set(dir(ObservedStore))
    names: dict[str, Any] = {name: _passed_on(name) for name in further}
    observed_kind: type[ObservedStore] = type(f"Observed{kind.__name__}", (ObservedStore,), names)
    return observed_kind(inner, observer, sampler)


def _passed_on(name: str) -> property:
    def get(store: ObservedStore) -> Any:
        return getattr(store.inner, name)

    return property(get)


def plain(store: VectorStore) -> VectorStore:
    """Return the store that *store* observes, or *store* itself."""
    return store.inner if isinstance(store, ObservedStore) else store
