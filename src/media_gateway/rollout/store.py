"""The rollout's store: one contract over the old store and the new one."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Self

from media_gateway.contracts import Explains, VectorStore
from media_gateway.errors import InvalidInputError, StoreError, StoreUnavailableError, UnsupportedError
from media_gateway.models import (
    ContentVector,
    Explanation,
    SearchRequest,
    SearchResult,
    StoreStats,
    VectorSpace,
)
from media_gateway.rollout.guard import Guard
from media_gateway.rollout.live import LiveMove
from media_gateway.rollout.patience import within
from media_gateway.rollout.policy import reading_side
from media_gateway.rollout.shadow import Shadow
from media_gateway.rollout.state import RolloutState, Side
from media_gateway.validation import checked_items, checked_keys, checked_request

_COMPARED_SHARE: Final = 10
"""Under canary and on, one search in so many is answered by memory too, for the guard to know the overlap."""
_PATIENCES: Final = 5
"""How many times the guard's p95 a search may take on PostgreSQL before memory answers it."""
_SHORTEST_PATIENCE: Final = 1.0


class RolloutStore:
    """A `VectorStore` over memory, the old store, and PostgreSQL, the new one; made by `open_rollout`.

    Who answers follows *state*; writes go to the truth of the live move and from there to the other store. Where
    PostgreSQL fails to answer a read, memory does, as long as it is complete.
    """

    def __init__(self, stores: Mapping[Side, VectorStore], live: LiveMove, guard: Guard, state: RolloutState) -> None:
        self._stores = stores
        self._live = live
        self._guard = guard
        self._shadow = Shadow(self._note_overlap)
        self._closers: list[Any] = []
        self._asked = 0
        self._closed: asyncio.Task[None] | None = None
        self.state = state
        """The state that reads follow."""
        self.fallbacks = 0
        """Reads that memory answered since PostgreSQL failed."""

    @property
    def space(self) -> VectorSpace:
        """The model and dimension of every vector in here."""
        return self._stores["memory"].space

    @property
    def live(self) -> LiveMove:
        """The live move below this store."""
        return self._live

    @property
    def guard(self) -> Guard:
        """The guard over the new store's answers."""
        return self._guard

    @property
    def shadow(self) -> Shadow:
        """The comparisons of this process."""
        return self._shadow

    @property
    def new(self) -> VectorStore:
        """The PostgreSQL store."""
        return self._stores["postgres"]

    def closes(self, what: Any) -> None:
        """Have `await what.aclose()` run before the stores are closed."""
        self._closers.append(what)

    async def upsert(self, items: Sequence[ContentVector]) -> None:
        """Write *items* to the truth, all or none, and bring them to the other store.

        Raises what the truth raises; that the other store fails is no error of the caller's.
        """
        self._check_open()
        checked = checked_items(items, self.space.dimension)
        if checked:
            await self._live.write([item.key for item in checked], lambda store: store.upsert(checked))

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove the records of *keys* in both stores and return how many of them the truth had."""
        self._check_open()
        checked = checked_keys(keys)
        return await self._live.write(checked, lambda store: store.delete(checked)) if checked else 0

    async def get(self, keys: Sequence[str]) -> list[ContentVector | None]:
        """Return the records of *keys* from the truth, and from memory where PostgreSQL cannot."""
        self._check_open()
        if self._reads_memory():
            return await self._stores["memory"].get(keys)
        try:
            return await within(self._patience(), self._stores["postgres"].get(keys))
        except InvalidInputError:
            raise
        except (StoreError, TimeoutError):
            if not self._may_fall_back():
                raise
            self.fallbacks += 1
            return await self._stores["memory"].get(keys)

    async def search(self, request: SearchRequest) -> SearchResult:
        """Return the answer of the store that the state gives *request* to; see `VectorStore.search`.

        Memory answers where PostgreSQL fails or takes a second and more. What memory cannot answer, such as a search by
        text, fails as PostgreSQL failed.
        """
        self._check_open()
        request = checked_request(request, self.space.dimension)
        if self._side(request) == "postgres":
            return await self._from_new(request)
        began = time.perf_counter()
        result = await self._stores["memory"].search(request)
        if self.state.mode == "shadow" and self._live.is_complete and not self.state.tripped:
            taken = (time.perf_counter() - began) * 1000
            self._shadow.compare(request, result, taken, by="memory", beside=self._stores["postgres"])
        return result

    async def explain(self, request: SearchRequest) -> Explanation:
        """Run the search of *request* on the store that would answer it, and return how that went; see `Explains`.

        Raises UnsupportedError when that store cannot tell.
        """
        self._check_open()
        side = self._side(checked_request(request, self.space.dimension))
        store = self._stores[side]
        if not isinstance(store, Explains):
            raise UnsupportedError(f"the {side} store cannot tell how it searches", feature="explain", store=side)
        return await store.explain(request)

    async def scan(self, *, after: str | None = None, batch_size: int = 1000) -> AsyncIterator[list[ContentVector]]:
        """Yield all records of the truth in the order of their keys; see `VectorStore.scan`."""
        self._check_open()
        async for page in self._stores[self._live.truth].scan(after=after, batch_size=batch_size):
            yield page

    async def stats(self) -> StoreStats:
        """Return the figures of the store that is read, with the rollout's under "rollout" in its details."""
        self._check_open()
        side: Side = "memory" if self._reads_memory() else "postgres"
        stats = await self._stores[side].stats()
        return replace(stats, details={**stats.details, "rollout": self.facts()})

    def facts(self) -> dict[str, Any]:
        """Return what this process knows of the rollout, as a JSON object."""
        live, applier = self._live, self._live.applier
        return {
            "epoch": self.state.epoch,
            "state": self.state.text,
            "truth": live.truth,
            "reads": self._reads(),
            "is_switched": live.truth == self.state.truth,
            "is_complete": live.is_complete,
            "is_confirmed": live.facts.is_confirmed,
            "copied": live.copied,
            "waiting": applier.waiting,
            "stuck": dict(list(applier.stuck.items())[:20]),
            "failure": applier.failure or live.away,
            "fallbacks": self.fallbacks,
            "guard": self._guard.figures(),
        }

    async def aclose(self) -> None:
        """Bring over what can be within a moment, and close both stores; the rest stays noted. Closing twice is no harm."""
        if self._closed is None:
            self._closed = asyncio.create_task(self._close())
        await asyncio.shield(self._closed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _close(self) -> None:
        await self._live.rest()
        errors: list[Exception] = []
        for what in [self._shadow, *self._closers, self._stores["postgres"], self._stores["memory"]]:
            try:
                await what.aclose()
            except Exception as error:  # noqa: BLE001  everything is closed, then the first failure is told
                errors.append(error)
        if errors:
            raise errors[0]

    def _check_open(self) -> None:
        if self._closed is not None:
            raise StoreError("this store is closed; open it again")

    def _reads(self) -> str:
        if self.state.mode == "canary" and self._live.is_complete and not self.state.tripped:
            return self.state.text
        return "memory" if self._reads_memory() else "postgres"

    def _reads_memory(self) -> bool:
        """Whether reads that name no user go to memory."""
        if self._live.truth == "memory":
            return True
        # Before memory has everything, an answer of it could lack records without anybody knowing.
        return self._may_fall_back() and (self.state.tripped or self.state.mode != "on")

    def _side(self, request: SearchRequest) -> Side:
        if not self._live.is_complete:
            return self._live.truth
        if self.state.mode == "canary":
            return reading_side(self.state, request)
        return "memory" if self._reads_memory() else "postgres"

    def _may_fall_back(self) -> bool:
        return self._live.is_complete or self._live.truth == "memory"

    def _patience(self) -> float | None:
        """Return how many seconds PostgreSQL has before memory answers; None where memory must not."""
        if not self._may_fall_back():
            return None
        return max(_SHORTEST_PATIENCE, self._guard.rules.p95_ms * _PATIENCES / 1000)

    async def _from_new(self, request: SearchRequest) -> SearchResult:
        patience = self._patience()
        began = time.perf_counter()
        try:
            result = await within(patience, self._stores["postgres"].search(request))
        except (InvalidInputError, UnsupportedError):
            raise
        except (StoreError, TimeoutError) as error:
            self._guard.failed((time.perf_counter() - began) * 1000)
            if patience is None:
                raise
            return await self._fallen_back(request, error)
        taken = (time.perf_counter() - began) * 1000
        self._guard.answered(taken)
        self._asked += 1
        if patience is not None and self._asked % _COMPARED_SHARE == 0 and request.text is None:
            self._shadow.compare(request, result, taken, by="postgres", beside=self._stores["memory"])
        return result

    async def _fallen_back(self, request: SearchRequest, error: Exception) -> SearchResult:
        try:
            result = await self._stores["memory"].search(request)
        except UnsupportedError:
            if isinstance(error, StoreError):
                raise error from None
            raise StoreUnavailableError(
                "PostgreSQL gave no answer in time, and memory cannot search by text; try again later",
                server="postgres",
                reason="no answer",
            ) from error
        self.fallbacks += 1
        return result

    def _note_overlap(self, overlap: float) -> None:
        if self.state.mode in {"canary", "on"}:
            self._guard.compared(overlap)
