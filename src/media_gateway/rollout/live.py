"""A live move: two stores kept equal while the application writes, and the moments in which the truth changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from media_gateway.contracts import BulkLoads, Changes, VectorStore
from media_gateway.errors import MediaGatewayError, StoreTimeoutError, StoreUnavailableError, UnsupportedError
from media_gateway.models import ChangePosition
from media_gateway.rollout.applier import Applier
from media_gateway.rollout.comparison import Verified, differing_pages, verified
from media_gateway.rollout.gate import Gate
from media_gateway.rollout.ledger import Ledger, LiveFacts
from media_gateway.rollout.patience import within
from media_gateway.rollout.state import Side, other

_log = logging.getLogger(__name__)

_FOLLOW_SECONDS: Final = 0.25
_WRITER_PATIENCE: Final = 0.2
"""Seconds that a writer waits for the other store too, so that it reads there what it wrote."""
_LEAVING: Final = 0.25
"""Seconds that going back waits for writers, and then for the last changes: a second holds both and the rest."""
_CUT_OVER: Final = 5.0
_CLOSED: Final = 1.0
"""Seconds that writers wait at most while the truth moves to PostgreSQL, and again for the last copies."""
_WORTH_BULK: Final = 1_000
_MANY: Final = 100_000
_FEW: Final = 10_000
"""Entries of the change log that can be brought over while writers wait."""

_T = TypeVar("_T")


class LiveMove:
    """Writes go to the truth and are brought to the other store; *ledger* remembers what is on its way."""

    def __init__(self, stores: Mapping[Side, VectorStore], ledger: Ledger, facts: LiveFacts) -> None:
        self._stores = stores
        self._ledger = ledger
        self._gate = Gate()
        self._facts = ledger.facts or facts
        self.applier = Applier(stores, ledger, self._gate, truth=self._facts.truth)
        self.away: str | None = None
        """Why PostgreSQL could not be followed at the last attempt."""
        self.copied = 0
        """Records that the copy under way has looked at."""
        for side in ("memory", "postgres"):
            self.applier.mark([key for key, newest in ledger.open.items() if newest == side], side)

    @property
    def facts(self) -> LiveFacts:
        """How far the move has come."""
        return self._ledger.facts or self._facts

    @property
    def truth(self) -> Side:
        """The store that writes go to first."""
        return self.facts.truth

    @property
    def is_complete(self) -> bool:
        """Whether the other store has everything, what is on its way aside."""
        return self.facts.is_complete

    async def write(self, keys: Sequence[str], run: Callable[[VectorStore], Awaitable[_T]]) -> _T:
        """Have *run* write *keys* to the truth, and wait a moment for the other store.

        Only the truth's failures are the caller's. Raises what *run* raises, and StoreFullError when the intent cannot
        be written down; nothing was changed then.
        """
        async with self._gate.passing():
            side = self.truth
            await self._ledger.begin(keys, side)
            try:
                result = await run(self._stores[side])
            finally:
                self._ledger.end(keys)
                # After going back without waiting for this writer, a later write to memory is the newer one.
                self.applier.mark(keys, side, is_weak=side != self.truth)
        if self.is_complete:
            await self.applier.applied(keys, _WRITER_PATIENCE)
        return result

    async def note_epoch(self, epoch: int) -> None:
        """Keep, synced, that the move goes on under the state of *epoch*."""
        await self._change(lambda facts: replace(facts, epoch=epoch))

    async def rest(self) -> None:
        """Wait a moment for the writers that are at work, before the stores are closed."""
        async with self._gate.closed(_CUT_OVER):
            pass

    async def settle(self, patience: float) -> bool:
        """Bring over what waits and what others changed last, before the stores are closed.

        Returns whether the other store got everything within *patience* seconds; what it did not get stays noted.
        """
        if self.is_complete:
            return await self._caught_up(patience, _FEW)
        if self.applier.failure is None and not self.applier.is_held:
            await self.applier.drained(patience)
        return False

    async def follow(self) -> None:
        """Keep the other store equal for as long as the task lives."""
        await self._ledger.set_facts(self.facts)
        while True:
            try:
                await self._follow_once()
                self.away = None
            except (StoreUnavailableError, StoreTimeoutError) as error:
                self.away = str(error)
            except Exception as error:  # noqa: BLE001  the task must outlive whatever a store does
                _log.exception("following the change log failed")
                self.away = str(error)
            await asyncio.sleep(_FOLLOW_SECONDS)

    async def aim(self, truth: Side) -> bool:
        """Make *truth* the truth if that can be done now, and return whether it is."""
        if self.truth == truth:
            return True
        return await (self._to_postgres() if truth == "postgres" else self._to_memory())

    async def verify(self) -> Verified:
        """Compare both stores while writers go on; nothing is changed."""
        return await verified(
            self._stores[self.truth],
            self._stores[other(self.truth)],
            is_settled=lambda keys: self.applier.applied(keys, _CUT_OVER),
        )

    async def _follow_once(self) -> None:
        if not self.facts.is_confirmed:
            await self._confirm()
        if not self.is_complete:
            await self._complete()
        while not await self._follow_page():
            pass

    async def _follow_page(self) -> bool:
        """Bring over what the next page of the change log names; returns whether that was its end for now."""
        facts, log = self.facts, self._log()
        truth, position = facts.truth, facts.position
        if position is None or log is None or not facts.is_complete or not facts.is_confirmed:
            return True
        page = await log.changes(position)
        if page.is_everything:
            await self._change(
                lambda facts: (
                    replace(facts, is_complete=False, position=page.position) if facts.truth == truth else facts
                )
            )
            return True
        if self.truth == truth:
            self.applier.mark(page.keys, truth, is_weak=True)
            await self.applier.applied(page.keys, None)
        if self.truth != truth:
            # The new one may have to decide about these changes: they are read again.
            return True
        self._ledger.note_position(page.position)
        return page.is_end

    async def _complete(self) -> None:
        """Copy everything from the truth to the other store, while writers go on."""
        truth = self.truth
        source, target = self._stores[truth], self._stores[other(truth)]
        self.copied = 0
        await self._bulk(source, target)
        position = await self._position()
        async for page in differing_pages(source, target):
            self.copied += page.count
            self.applier.mark(page.differing, truth, is_weak=True)
            await self.applier.applied(page.differing, None)
        facts = await self._change(
            lambda facts: replace(facts, is_complete=True, position=position) if facts.truth == truth else facts
        )
        if facts.truth == truth:
            _log.info("both stores hold the same; %d records were looked at", self.copied)

    async def _bulk(self, source: VectorStore, target: VectorStore) -> None:
        """Fill an empty *target* by its bulk load, many times faster than record by record."""
        if not isinstance(target, BulkLoads) or (await target.stats()).count:
            return
        if (await source.stats()).count < _WORTH_BULK:
            return
        async with self.applier.held():
            if not (await target.stats()).count:
                await target.bulk_load(source.scan())

    async def _confirm(self) -> None:
        """Bring to memory what PostgreSQL got while it was the truth and memory could not follow any more.

        What was written to memory since is newer and stays. Without a usable position in the log every record of
        PostgreSQL is looked at; one that was removed there meanwhile stays in memory then.
        """
        position, log = self.facts.position, self._log()
        page = None if position is None or log is None else await log.changes(position, limit=_MANY, beyond=True)
        if page is None or page.is_everything or not page.is_end:
            async for found in differing_pages(self._stores["postgres"], self._stores["memory"]):
                present = await self._stores["postgres"].get(found.differing)
                keys = [record.key for record in present if record is not None]
                self.applier.mark(keys, "postgres", is_weak=True)
                await self.applier.applied(keys, None)
        else:
            self.applier.mark(page.keys, "postgres", is_weak=True)
            await self.applier.applied(page.keys, None)
        await self._change(lambda facts: replace(facts, is_confirmed=True))
        _log.info("what PostgreSQL held when memory took over is there too now")

    async def _to_postgres(self) -> bool:
        """Cut over, unless the copy is not complete or something cannot be brought over.

        What others changed in PostgreSQL until then is undone first: it would become the truth otherwise.
        """
        if not self.is_complete or not self.facts.is_confirmed or self.applier.stuck:
            return False
        if not await self._caught_up(_CUT_OVER, _FEW):
            return False
        async with self._gate.closed(_CLOSED) as is_empty:
            if not is_empty or not await self._caught_up(_CLOSED, _FEW) or not self.is_complete:
                return False
            await self._turn(lambda facts: replace(facts, truth="postgres"))
        return True

    async def _to_memory(self) -> bool:
        """Go back within half a second, whatever PostgreSQL does; not while it answers and memory is incomplete."""
        is_away = self.away is not None or self.applier.failure is not None
        if not self.is_complete and not is_away:
            return False
        async with self._gate.closed(_LEAVING) as is_empty:
            is_equal = is_empty and self._is_followed() and await self._caught_up(_LEAVING, _MANY) and self.is_complete
            await self._turn(lambda facts: replace(facts, truth="memory", is_confirmed=is_equal, is_complete=is_equal))
        if not is_equal:
            _log.warning("memory took over without PostgreSQL's last changes; they are brought over when it answers")
        return True

    def _is_followed(self) -> bool:
        """Whether it is known what others change in PostgreSQL, as far as that can be."""
        return self._log() is None or self.facts.position is not None

    async def _caught_up(self, patience: float, limit: int) -> bool:
        """Bring over what waits and the end of the change log, of *limit* entries at most.

        Returns whether that was possible within *patience* seconds.
        """
        try:
            return await within(patience, self._catch_up(patience, limit))
        except (MediaGatewayError, TimeoutError):
            return False

    async def _catch_up(self, patience: float, limit: int) -> bool:
        truth, position, log = self.truth, self.facts.position, self._log()
        if position is not None and log is not None:
            page = await log.changes(position, limit=limit, beyond=True)
            if page.is_everything or not page.is_end or self.truth != truth:
                return False
            self.applier.mark(page.keys, truth, is_weak=True)
            position = page.position
        if not await self.applier.drained(patience) or self.applier.stuck:
            return False
        if position is not None and self.truth == truth:
            self._ledger.note_position(position)
        return True

    async def _position(self) -> ChangePosition | None:
        log = self._log()
        try:
            return None if log is None else await log.change_position()
        except UnsupportedError as error:
            _log.warning("changes by others are not followed: %s", error)
            return None

    def _log(self) -> Changes | None:
        store = self._stores["postgres"]
        return store if isinstance(store, Changes) else None

    async def _change(self, change: Callable[[LiveFacts], LiveFacts]) -> LiveFacts:
        return await self._ledger.change_facts(self._facts, change)

    async def _turn(self, change: Callable[[LiveFacts], LiveFacts]) -> None:
        """Change the truth; to be called while the gate is closed."""
        facts = await self._change(change)
        await self.applier.turn(facts.truth)
