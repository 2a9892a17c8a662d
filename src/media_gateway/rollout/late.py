"""A store that opens when its server answers, so that the other one can serve until then."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from media_gateway.contracts import Changes, VectorStore
from media_gateway.errors import ModelMismatchError, StoreUnavailableError, UnsupportedError
from media_gateway.models import (
    ChangedKeys,
    ChangePosition,
    ContentVector,
    SearchRequest,
    SearchResult,
    StoreStats,
    VectorSpace,
)

_AGAIN_SECONDS: Final = 1.0


def check_spaces(postgres: VectorStore | None, memory: VectorSpace) -> None:
    """Raise ModelMismatchError where *postgres* holds vectors of another space than *memory*; None is not open yet."""
    if postgres is not None and postgres.space != memory:
        raise ModelMismatchError(
            f"PostgreSQL holds vectors of {postgres.space}, and memory of {memory}; a rollout moves one collection from one "
            "to the other, so embed both with one model",
            given=postgres.space,
            expected=memory,
        )


class LateStore:
    """Opens the store behind it at the first call that succeeds; until then every method raises what opening raises.

    After a failed attempt the next one is made a second later at the earliest. Raises ModelMismatchError when the store
    turns out to hold vectors of another *space*.
    """

    def __init__(self, open_store: Callable[[], Awaitable[VectorStore]], space: VectorSpace) -> None:
        self._open = open_store
        self._space = space
        self._store: VectorStore | None = None
        self._failure: StoreUnavailableError | None = None
        self._tried_at = 0.0
        self._turn = asyncio.Lock()

    @property
    def space(self) -> VectorSpace:
        """The model and dimension of every vector in here."""
        return self._space

    @property
    def opened(self) -> VectorStore | None:
        """The store behind this one, None while it could not be opened."""
        return self._store

    async def upsert(self, items: Sequence[ContentVector]) -> None:
        await (await self.ready()).upsert(items)

    async def get(self, keys: Sequence[str]) -> list[ContentVector | None]:
        return await (await self.ready()).get(keys)

    async def delete(self, keys: Sequence[str]) -> int:
        return await (await self.ready()).delete(keys)

    async def search(self, request: SearchRequest) -> SearchResult:
        store = self._store or await self.ready()
        return await store.search(request)

    async def scan(self, *, after: str | None = None, batch_size: int = 1000) -> AsyncIterator[list[ContentVector]]:
        async for page in (await self.ready()).scan(after=after, batch_size=batch_size):
            yield page

    async def stats(self) -> StoreStats:
        return await (await self.ready()).stats()

    async def change_position(self) -> ChangePosition:
        return await (await self._log()).change_position()

    async def changes(self, since: ChangePosition, *, limit: int = 1000, beyond: bool = False) -> ChangedKeys:
        return await (await self._log()).changes(since, limit=limit, beyond=beyond)

    async def aclose(self) -> None:
        if self._store is not None:
            await self._store.aclose()

    async def ready(self) -> VectorStore:
        """Return the store behind this one, opened if need be."""
        if self._store is not None:
            return self._store
        async with self._turn:
            if self._store is not None:
                return self._store
            if self._failure is not None and time.monotonic() - self._tried_at < _AGAIN_SECONDS:
                raise self._failure
            try:
                store = await self._open()
            except StoreUnavailableError as error:
                self._failure = error
                self._tried_at = time.monotonic()
                raise
            try:
                check_spaces(store, self._space)
            except ModelMismatchError:
                await store.aclose()
                raise
            self._store = store
            return store

    async def _log(self) -> Changes:
        store = await self.ready()
        if not isinstance(store, Changes):
            raise UnsupportedError("this store keeps no change log", feature="change log", store=type(store).__name__)
        return store
