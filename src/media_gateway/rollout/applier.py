"""Bringing keys from the store that has their newest value to the other one.

What is brought over is never the value that a writer gave but the one that the store has when its turn comes. So the
order in which keys are marked does not matter, a key marked twice costs one copy, and to copy again after a crash is
safe. One task copies; it is the only one that writes to the store that follows.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final

import anyio.to_thread

from media_gateway.contracts import VectorStore
from media_gateway.errors import (
    MediaGatewayError,
    OutcomeUnknownError,
    SchemaError,
    StoreFullError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from media_gateway.models import ContentVector
from media_gateway.models.digests import row_image
from media_gateway.rollout.gate import Gate
from media_gateway.rollout.ledger import Ledger
from media_gateway.rollout.state import Side, other

_log = logging.getLogger(__name__)

_BATCH: Final = 200
_PAUSE: Final = 0.25
"""Seconds between attempts while a store is away."""
_AWAY: Final = (StoreUnavailableError, StoreTimeoutError, OutcomeUnknownError, StoreFullError, SchemaError)
"""What passes, or is mended for all keys at once; anything else is the fault of one record."""


class _TruthChangedError(Exception):
    """The truth changed while a copy read what it was to bring over; the keys stay marked."""


@dataclass(frozen=True, kw_only=True)
class _Mark:
    newest: Side
    number: int


class Applier:
    """Keys to be brought over, and the task that does it.

    Copies away from the truth need no gate, since writers touch the truth alone. Copies towards it, of keys whose newest
    value is in the other store after all, keep writers out while they run.
    """

    def __init__(self, stores: Mapping[Side, VectorStore], ledger: Ledger, gate: Gate, *, truth: Side) -> None:
        self._stores = stores
        self._ledger = ledger
        self._gate = gate
        self._marks: dict[str, _Mark] = {}
        self._number = 0
        self._wake = asyncio.Event()
        self._progress = asyncio.Condition()
        self._paused = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._turns = 0
        self.truth = truth
        self.is_held = False
        """Whether copies stand still for long, so that no writer should wait for one."""
        self._is_slow = False
        self.failure: str | None = None
        """Why the last copy failed; None while copies succeed."""
        self.stuck: dict[str, str] = {}
        """Keys that the other store refuses, with its reason; each stays an open intent and is tried again when it is
        written or the store is opened anew."""

    @property
    def waiting(self) -> int:
        """How many keys are still to be brought over, those that are stuck not counted."""
        return len(self._marks)

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[None]:
        """Let no copy be made during the block."""
        async with self._paused:
            self.is_held = True
            try:
                yield
            finally:
                self.is_held = False

    def mark(self, keys: Iterable[str], newest: Side, *, is_weak: bool = False) -> None:
        """Note that *newest* has the newest value of *keys*.

        With *is_weak* a key that is marked otherwise, or that a writer has in hand, stays as it is.
        """
        self._number += 1
        for key in keys:
            former = self._marks.get(key)
            if is_weak and ((former and former.newest != newest) or self._ledger.is_under_way(key)):
                continue
            self._marks[key] = _Mark(newest=newest, number=self._number)
            self.stuck.pop(key, None)
        self._wake.set()

    async def turn(self, truth: Side) -> None:
        """Make *truth* the truth, once what is being written to it has been; copies that only read it are given up."""
        self.truth = truth
        self._turns += 1
        async with self._writing:
            pass

    async def applied(self, keys: Sequence[str], patience: float | None) -> bool:
        """Wait until none of *keys* waits any more, *patience* seconds at most, and not at all while copies fail or hang."""
        if patience is not None and (self.failure is not None or self.is_held or self._is_slow):
            return False
        try:
            async with asyncio.timeout(patience), self._progress:
                await self._progress.wait_for(lambda: not any(key in self._marks for key in keys))
        except TimeoutError:
            # The next writers need not wait for a store that hangs.
            self._is_slow = True
            return False
        return True

    async def drained(self, patience: float) -> bool:
        """Wait until no key waits, *patience* seconds at most; returns whether that came about."""
        try:
            async with asyncio.timeout(patience), self._progress:
                await self._progress.wait_for(lambda: not self._marks)
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Copy for as long as the task lives."""
        while True:
            await self._wake.wait()
            if not self._marks:
                self._wake.clear()
                continue
            newest = next(iter(self._marks.values())).newest
            keys = list(islice((key for key, mark in self._marks.items() if mark.newest == newest), _BATCH))
            try:
                await self._copy_batch(keys, newest)
            except _TruthChangedError:
                continue
            except _AWAY as error:
                self._note_failure(str(error))
                await asyncio.sleep(_PAUSE)
            except Exception as error:  # noqa: BLE001  the task must outlive whatever a store does
                _log.exception("copying from %s failed", newest)
                self._note_failure(str(error))
                await asyncio.sleep(_PAUSE)
            else:
                self.failure = None
            await self._tell()

    async def _copy_batch(self, keys: list[str], newest: Side) -> None:
        async with self._paused:
            if newest == self.truth:
                await self._copy_marked(keys, newest)
                return
        # A switch holds the gate while it waits for copies towards the new truth, and lets them through.
        async with self._gate.closed(), self._paused:
            await self._copy_marked(keys, newest)

    async def _copy_marked(self, keys: list[str], newest: Side) -> None:
        # Others may have marked them while this task waited.
        marks = {key: mark for key in keys if (mark := self._marks.get(key)) is not None and mark.newest == newest}
        if not marks:
            return
        await self._copy(list(marks), newest)
        self._done([key for key, mark in marks.items() if self._marks.get(key) is mark])

    async def _copy(self, keys: list[str], newest: Side) -> None:
        try:
            await self._copy_values(keys, newest)
        except _AWAY:
            raise
        except MediaGatewayError as error:
            if len(keys) > 1:
                middle = len(keys) // 2
                await self._copy(keys[:middle], newest)
                await self._copy(keys[middle:], newest)
                return
            if keys[0] not in self.stuck:
                _log.warning("the record %r cannot be brought from %s to the other store: %s", keys[0], newest, error)
            self.stuck[keys[0]] = str(error)

    async def _copy_values(self, keys: Sequence[str], newest: Side) -> None:
        """Make the other store hold under *keys* what *newest* holds, deletions included."""
        source, target = self._stores[newest], self._stores[other(newest)]
        turns = self._turns
        wanted, present = await source.get(keys), await target.get(keys)
        written, removed = await anyio.to_thread.run_sync(_news, keys, wanted, present)
        async with self._writing:
            if self._turns != turns:
                # Writers may have been at the target since: what was read would undo what they wrote.
                raise _TruthChangedError
            if written:
                await target.upsert(written)
            if removed:
                await target.delete(removed)

    def _done(self, keys: list[str]) -> None:
        self._is_slow = False
        for key in keys:
            del self._marks[key]
        self._ledger.close_keys(key for key in keys if key not in self.stuck)

    def _note_failure(self, reason: str) -> None:
        if self.failure is None:
            count = len(self._marks)
            _log.warning("%d %s for the other store: %s", count, "key waits" if count == 1 else "keys wait", reason)
        self.failure = reason

    async def _tell(self) -> None:
        async with self._progress:
            self._progress.notify_all()


def _news(
    keys: Sequence[str], wanted: Sequence[ContentVector | None], present: Sequence[ContentVector | None]
) -> tuple[list[ContentVector], list[str]]:
    written = [
        new for new, old in zip(wanted, present, strict=True) if new is not None and (old is None or differ(new, old))
    ]
    removed = [key for key, new, old in zip(keys, wanted, present, strict=True) if new is None and old is not None]
    return written, removed


def differ(first: ContentVector, second: ContentVector) -> bool:
    """Tell whether two records differ in any bit that a digest sees."""
    return row_image(first.key, first.vector, first.metadata) != row_image(second.key, second.vector, second.metadata)
