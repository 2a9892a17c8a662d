"""Opening the store of a rollout, and finding out whether there is one."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from media_gateway.contracts import VectorStore
from media_gateway.errors import StoreError, StoreLockedError, StoreUnavailableError, UnsupportedError
from media_gateway.rollout.guard import Guard, GuardRules
from media_gateway.rollout.keeper import StateKeeper
from media_gateway.rollout.late import LateStore, check_spaces
from media_gateway.rollout.ledger import Ledger, LiveFacts, read_ledger
from media_gateway.rollout.live import LiveMove
from media_gateway.rollout.noted import NotedStore
from media_gateway.rollout.report import ReportFile
from media_gateway.rollout.state import RolloutState, Side
from media_gateway.rollout.state_file import StateFile
from media_gateway.rollout.store import RolloutStore
from media_gateway.rollout.table import RolloutTable
from media_gateway.rollout.watcher import Watcher

_log = logging.getLogger(__name__)

_REPLAY_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class RolloutFiles:
    """The files of a rollout, beside the memory store's at *path*."""

    path: Path

    @property
    def state(self) -> StateFile:
        """The states."""
        return StateFile(self.path.with_name(self.path.name + ".rollout"))

    @property
    def report(self) -> ReportFile:
        """What the process that serves tells of itself."""
        return ReportFile(self.path.with_name(self.path.name + ".rollout.service"))

    @property
    def ledger(self) -> Path:
        """The journal of intents."""
        return self.path.with_name(self.path.name + ".rollout.intents")


@dataclass(frozen=True, kw_only=True)
class RolloutParts:
    """What a rollout is put together from: how its stores are opened, its table, its files and its guard's bounds."""

    open_memory: Callable[[], Awaitable[VectorStore]]
    open_postgres: Callable[[], Awaitable[VectorStore]]
    table: RolloutTable
    files: RolloutFiles
    rules: GuardRules


async def open_rollout(parts: RolloutParts, *, writable: bool) -> VectorStore:
    """Return the store that the recorded state asks for: the plain PostgreSQL store where none is recorded.

    Under a state a writable store is a `RolloutStore`, one process at a time; one for reading is the truth's alone. When
    PostgreSQL is away and memory is the truth or complete, memory serves until it is back. A state that was set beside
    another memory file leaves PostgreSQL alone while that is the truth. Raises StoreLockedError when another process
    moves this collection, or where memory elsewhere is the truth, and what opening the stores raises.
    """
    keeper = StateKeeper(parts.files.state, parts.table)
    try:
        state, opened = await _state_and_postgres(keeper, parts)
        if state is None or state.is_over:
            await parts.table.aclose()
            return opened or await parts.open_postgres()
        if not writable:
            await parts.table.aclose()
            return await _for_reading(state, opened, parts)
        if opened is not None and state.truth == "postgres" and not is_its_place(parts.files):
            await parts.table.aclose()
            _log.warning("PostgreSQL serves alone: %s", _elsewhere(parts.files, state))
            return opened
        return await _opened(state, keeper, opened, parts)
    except BaseException:
        await parts.table.aclose()
        raise


async def _state_and_postgres(
    keeper: StateKeeper, parts: RolloutParts
) -> tuple[RolloutState | None, VectorStore | None]:
    """Return the state that holds, and the PostgreSQL store where it could be opened."""
    try:
        opened = await parts.open_postgres()
    except StoreUnavailableError:
        state = keeper.current()
        if state is None or state.is_over:
            raise
        return state, None
    try:
        # A state is in the table wherever one was set while this database could be asked.
        return await keeper.reconcile(), opened
    except BaseException:
        await opened.aclose()
        raise


async def _for_reading(state: RolloutState, opened: VectorStore | None, parts: RolloutParts) -> VectorStore:
    if opened is not None and state.truth == "postgres" and not state.tripped:
        return opened
    if opened is not None:
        await opened.aclose()
    return await parts.open_memory()


async def join_rollout(
    parts: RolloutParts, keeper: StateKeeper, state: RolloutState, alone: VectorStore
) -> RolloutStore:
    """Return the store of the rollout in *state*, around *alone*, the PostgreSQL store that served by itself until now.

    *keeper* goes on inside of it. Raises StoreLockedError when another process moves this collection or *state* was set
    beside another memory file, ModelMismatchError, and what opening memory raises; *alone* stays open then.
    """
    store = await _assembled(state, keeper, alone, parts)
    try:
        await _replayed(store)
    except BaseException:
        await store.aclose()
        raise
    return store


def is_its_place(files: RolloutFiles) -> bool:
    """Return whether the memory file beside *files* is the one that moves: the rollout was begun here, or went on here."""
    return files.state.was_begun_here() or read_ledger(files.ledger).facts is not None


async def _opened(
    state: RolloutState, keeper: StateKeeper, opened: VectorStore | None, parts: RolloutParts
) -> RolloutStore:
    try:
        store = await _assembled(state, keeper, opened, parts)
    except BaseException:
        if opened is not None:
            await opened.aclose()
        raise
    if opened is not None:
        await _replayed(store)
    return store


async def _assembled(
    state: RolloutState, keeper: StateKeeper, opened: VectorStore | None, parts: RolloutParts
) -> RolloutStore:
    """Return the store, at work already; *opened* stays open when that fails."""
    if not is_its_place(parts.files):
        raise StoreLockedError(_elsewhere(parts.files, state), path=str(parts.files.path))
    memory = await _memory(parts)
    ledger: Ledger | None = None
    try:
        check_spaces(opened, memory.space)
        ledger = Ledger(parts.files.ledger)
        facts = await _facts(ledger, await keeper.known(), state)
        postgres = opened or LateStore(parts.open_postgres, memory.space)
        stores: dict[Side, VectorStore] = {"memory": memory, "postgres": postgres}
        store = RolloutStore(stores, LiveMove(stores, ledger, facts), Guard(parts.rules), state)
    except BaseException:
        if ledger is not None:
            await ledger.aclose()
        await memory.aclose()
        raise
    watcher = Watcher(store, keeper, parts.files.report, ledger)
    store.closes(watcher)
    watcher.start()
    return store


async def _replayed(store: RolloutStore) -> None:
    applier = store.live.applier
    if applier.waiting:
        count = applier.waiting
        what = "key of an earlier run is" if count == 1 else "keys of an earlier run are"
        _log.warning("%d %s brought to both stores first", count, what)
        await applier.drained(_REPLAY_SECONDS)


async def _memory(parts: RolloutParts) -> VectorStore:
    try:
        return await parts.open_memory()
    except StoreLockedError as error:
        raise StoreLockedError(
            f"{error}. A rollout is recorded, and memory as one end of a live move means one service process: write "
            "through that one, or end the move (media-gateway rollout set on --alone)",
            path=error.path,
        ) from error


def _elsewhere(files: RolloutFiles, state: RolloutState) -> str:
    return (
        f"a rollout is recorded ({state.text}, by {state.who}), and it was begun beside another memory file than "
        f"{files.path}: serve there; where that file is lost, media-gateway rollout set on has PostgreSQL serve alone, and "
        f"media-gateway rollout set {state.text.partition(',')[0].removesuffix(' %')} --discard lets this file take its place"
    )


async def _facts(ledger: Ledger, states: Sequence[RolloutState], state: RolloutState) -> LiveFacts:
    """Return how far the move of *ledger* has come, and begin it anew where it belongs to a rollout that ended."""
    ends = [one.epoch for one in states if one.is_over]
    known = ledger.facts
    is_stale = known is not None and known.epoch is not None and any(known.epoch <= epoch for epoch in ends)
    if known is not None and not is_stale:
        return await ledger.set_facts(replace(known, epoch=state.epoch))
    if is_stale:
        ledger.close_keys(list(ledger.open))
    # Before the first state and after an end PostgreSQL stood alone, unless the first state says otherwise.
    truth = "postgres" if ends else states[0].truth if states else "memory"
    return await ledger.set_facts(LiveFacts(truth=truth, epoch=state.epoch))


def noted(memory: VectorStore, files: RolloutFiles) -> VectorStore:
    """Return *memory*, open for writing under the kill switch, with its writes noted where a rollout is recorded."""
    try:
        state = files.state.latest()
    except StoreError as error:
        _log.warning("writes are not noted for PostgreSQL: %s", error)
        return memory
    if state is None or state.is_over:
        return memory
    _log.warning("%s", not_followed(state))
    return NotedStore(memory, Ledger(files.ledger), not_followed(state))


def not_followed(state: RolloutState) -> str:
    """Return in a sentence that a process under the kill switch takes no part in the rollout in *state*."""
    return (
        f"a rollout is recorded ({state.text}), but the backend is memory: writes are noted for PostgreSQL, and nothing else "
        "follows it until this process is started anew with RUVECTOR_BACKEND=postgres"
    )


async def refuse_beside(parts: RolloutParts, side: Side) -> None:
    """Raise UnsupportedError when a write to the store of *side* alone would be lost to the rollout that is recorded.

    Memory keeps no change log, and what PostgreSQL gets while memory is the truth is undone. Under memory PostgreSQL is
    not asked.
    """
    keeper = StateKeeper(parts.files.state, parts.table)
    try:
        state = keeper.current() if side == "memory" else await keeper.reconcile()
    finally:
        await parts.table.aclose()
    if state is None or state.is_over or (side == "postgres" and state.truth == "postgres"):
        return
    raise UnsupportedError(
        f"a rollout is recorded ({state.text}), and what is written to {side} beside it would be lost; write through the "
        "service, or end the move first (media-gateway rollout set on, then media-gateway rollout set on --alone)",
        feature="writing beside a rollout",
        store=side,
    )
