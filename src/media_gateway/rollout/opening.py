"""Opening the store of a rollout, and finding out whether there is one."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from media_gateway.contracts import VectorStore
from media_gateway.errors import StoreError, StoreLockedError, StoreUnavailableError, UnsupportedError
from media_gateway.rollout.guard import Guard, GuardRules
from media_gateway.rollout.keeper import StateKeeper
from media_gateway.rollout.late import LateStore
from media_gateway.rollout.ledger import Ledger, LiveFacts
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
    PostgreSQL is away and memory is the truth or complete, memory serves until it is back. Raises StoreLockedError when
    another process moves this collection, and what opening the stores raises.
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


async def _opened(
    state: RolloutState, keeper: StateKeeper, opened: VectorStore | None, parts: RolloutParts
) -> RolloutStore:
    try:
        memory = await _memory(parts)
    except BaseException:
        if opened is not None:
            await opened.aclose()
        raise
    ledger: Ledger | None = None
    try:
        late = LateStore(_giving(opened, parts), memory.space)
        postgres: VectorStore = late if opened is None else await late.ready()
        ledger = Ledger(parts.files.ledger)
        stores: dict[Side, VectorStore] = {"memory": memory, "postgres": postgres}
        live = LiveMove(stores, ledger, ledger.facts or LiveFacts(truth=await _first_truth(keeper)))
        store = RolloutStore(stores, live, Guard(parts.rules), state)
    except BaseException:
        if ledger is not None:
            await ledger.aclose()
        await memory.aclose()
        raise
    watcher = Watcher(store, keeper, parts.files.report, ledger)
    store.closes(watcher)
    watcher.start()
    if opened is not None and live.applier.waiting:
        count = live.applier.waiting
        what = "key of an earlier run is" if count == 1 else "keys of an earlier run are"
        _log.warning("%d %s brought to both stores first", count, what)
        await live.applier.drained(_REPLAY_SECONDS)
    return store


def _giving(opened: VectorStore | None, parts: RolloutParts) -> Callable[[], Awaitable[VectorStore]]:
    async def given() -> VectorStore:
        return opened if opened is not None else await parts.open_postgres()

    return given


async def _memory(parts: RolloutParts) -> VectorStore:
    try:
        return await parts.open_memory()
    except StoreLockedError as error:
        raise StoreLockedError(
            f"{error}. A rollout is recorded, and memory as one end of a live move means one service process: write "
            "through that one, or end the move (media-gateway rollout set on --alone)",
            path=error.path,
        ) from error


async def _first_truth(keeper: StateKeeper) -> Side:
    """Return the truth before the first state was set: PostgreSQL where that state was on, since it stood alone then."""
    first = await keeper.first()
    return "memory" if first is None else first.truth


def noted(memory: VectorStore, files: RolloutFiles) -> VectorStore:
    """Return *memory*, open for writing under the kill switch, with its writes noted where a rollout is recorded."""
    try:
        state = files.state.latest()
    except StoreError as error:
        _log.warning("writes are not noted for PostgreSQL: %s", error)
        return memory
    if state is None or state.is_over:
        return memory
    _log.warning("a rollout is recorded (%s), but the backend is memory: writes are noted for PostgreSQL", state.text)
    return NotedStore(memory, Ledger(files.ledger))


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
