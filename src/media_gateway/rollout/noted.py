"""The kill switch's memory: what is written to the memory store alone, so that PostgreSQL gets it later."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from media_gateway.contracts import VectorStore
from media_gateway.models import ContentVector, SearchRequest, SearchResult, StoreStats, VectorSpace
from media_gateway.rollout.ledger import Ledger
from media_gateway.validation import checked_items, checked_keys


class NotedStore:
    """A memory store whose written keys are noted in *ledger* before they are written.

    It stands in while a rollout is recorded and the backend is `memory`: no PostgreSQL connection is opened, and the
    next opening with a rollout brings what is noted over.
    """

    def __init__(self, store: VectorStore, ledger: Ledger, remark: str) -> None:
        self._store = store
        self._ledger = ledger
        self.remark = remark
        """What operators are to know, in a sentence."""

    @property
    def space(self) -> VectorSpace:
        """The model and dimension of every vector in here."""
        return self._store.space

    async def upsert(self, items: Sequence[ContentVector]) -> None:
        """Note and write *items*; raises what the store behind it raises, and StoreFullError."""
        checked = checked_items(items, self.space.dimension)
        await self._note([item.key for item in checked])
        await self._store.upsert(checked)

    async def get(self, keys: Sequence[str]) -> list[ContentVector | None]:
        return await self._store.get(keys)

    async def delete(self, keys: Sequence[str]) -> int:
        """Note and remove *keys*."""
        checked = checked_keys(keys)
        await self._note(checked)
        return await self._store.delete(checked)

    async def search(self, request: SearchRequest) -> SearchResult:
        return await self._store.search(request)

    def scan(self, *, after: str | None = None, batch_size: int = 1000) -> AsyncIterator[list[ContentVector]]:
        return self._store.scan(after=after, batch_size=batch_size)

    async def stats(self) -> StoreStats:
        """Return the store's figures, with the remark under "rollout" in their details."""
        stats = await self._store.stats()
        return replace(stats, details={**stats.details, "rollout": {"follows": False, "remark": self.remark}})

    async def aclose(self) -> None:
        try:
            await self._ledger.aclose()
        finally:
            await self._store.aclose()

    async def _note(self, keys: Sequence[str]) -> None:
        await self._ledger.begin(keys, "memory")
        # Left open: it is closed once PostgreSQL has it.
        self._ledger.end(keys)
