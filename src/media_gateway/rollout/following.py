"""A rollout that is set while a process runs which opened without one."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from media_gateway.contracts import VectorStore
from media_gateway.errors import MediaGatewayError, StoreTimeoutError, StoreUnavailableError
from media_gateway.rollout.guard import Guard
from media_gateway.rollout.keeper import StateKeeper
from media_gateway.rollout.late import LateStore
from media_gateway.rollout.ledger import Ledger
from media_gateway.rollout.noted import NotedStore
from media_gateway.rollout.opening import RolloutFiles, RolloutParts, join_rollout, not_followed
from media_gateway.rollout.patience import every, stop
from media_gateway.rollout.report import ReportFile
from media_gateway.rollout.state import RolloutState, Side
from media_gateway.rollout.watcher import FILE_SECONDS, PROBE_PATIENCE, TABLE_SECONDS

_log = logging.getLogger(__name__)

_AGAIN_SECONDS: Final = 1.0
"""Between attempts to take part in a rollout that another process has in its hands."""

_FIRST_SECONDS: Final = 0.5
"""Until a process tells of itself: most commands are over by then."""

TurnTo = Callable[[VectorStore], None]
"""Has a gateway answer by another store from now on."""


class PostgresFollower:
    """Looks for a state while *alone*, PostgreSQL's store, serves by itself, and takes part in the rollout then.

    The file is looked at ten times a second and the table twice, as a process does that is part of one. Where another
    process has memory, this one goes on with PostgreSQL as long as that is the truth, and refuses every call while
    memory is; it tries again each second.
    """

    def __init__(self, alone: VectorStore, parts: RolloutParts, turn_to: TurnTo) -> None:
        self._alone = alone
        self._parts = parts
        self._turn_to = turn_to
        self._keeper = StateKeeper(parts.files.state, parts.table)
        self._report = _AloneReport(parts.files.report, "postgres", Guard(parts.rules))
        self._tasks: list[asyncio.Task[None]] = []
        self._has_joined = False
        self._aside: RolloutState | None = None
        self._tried_at = 0.0

    def start(self) -> None:
        """Begin to look; not at once, so that a command that is over soon needs no further connection."""
        self._keeper.table.patience = PROBE_PATIENCE
        self._tasks = [asyncio.create_task(work) for work in (self._look_often(), self._ask_often())]

    async def aclose(self) -> None:
        """Stop looking; a rollout that was joined goes on until its store is closed. Closing twice does no harm."""
        await stop(self._tasks)
        if not self._has_joined:
            # Whoever closes the gateway's store next closes this one.
            self._turn_to(self._alone)
            await self._keeper.table.aclose()
            self._report.remove()

    async def _look_often(self) -> None:
        await asyncio.sleep(FILE_SECONDS)
        await every(FILE_SECONDS, self._look, until=lambda: self._has_joined)

    async def _ask_often(self) -> None:
        await asyncio.sleep(TABLE_SECONDS)
        await every(TABLE_SECONDS, self._ask, until=lambda: self._has_joined)

    async def _ask(self) -> None:
        # While PostgreSQL is away, its users hear of it.
        with contextlib.suppress(StoreUnavailableError, StoreTimeoutError):
            await self._keeper.reconcile()

    async def _look(self) -> None:
        state = self._keeper.current()
        if state is None or state.is_over:
            if self._aside is not None:
                self._aside = None
                self._turn_to(self._alone)
                _log.warning("the rollout is over: PostgreSQL serves alone")
            self._report.write(state)
            return
        is_known = self._aside is not None and self._aside.id == state.id
        if is_known and time.monotonic() - self._tried_at < _AGAIN_SECONDS:
            return
        self._tried_at = time.monotonic()
        try:
            store = await join_rollout(self._parts, self._keeper, state, self._alone)
        except MediaGatewayError as error:
            if not is_known:
                self._step_aside(state, error)
            self._report.write(state, failure=str(error))
            return
        self._has_joined = True
        self._turn_to(store)
        _log.warning("this process takes part in the rollout that %s set: %s: %s", state.who, state.text, state.why)

    def _step_aside(self, state: RolloutState, error: MediaGatewayError) -> None:
        self._aside = state
        if state.truth == "postgres":
            self._turn_to(self._alone)
            _log.warning("this process goes on with PostgreSQL alone, which is the truth: %s", error)
            return

        async def refused() -> VectorStore:
            # Raised again and again: without this, each time would add to its traceback.
            raise error.with_traceback(None)

        self._turn_to(LateStore(refused, self._alone.space))
        _log.error("this process answers nothing any more, since memory is the truth: %s", error)


class MemoryFollower:
    """Looks for a state while *memory* serves alone under the kill switch: it has the writes noted then, and says so.

    Only the file beside memory is looked at: under the kill switch no connection to PostgreSQL is opened.
    """

    def __init__(self, memory: VectorStore, files: RolloutFiles, guard: Guard, turn_to: TurnTo) -> None:
        self._memory = memory
        self._files = files
        self._state = files.state
        self._turn_to = turn_to
        self._report = _AloneReport(files.report, "memory", guard)
        self._is_noted = isinstance(memory, NotedStore)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look_often())

    async def aclose(self) -> None:
        """Stop looking; closing twice does no harm."""
        await stop([] if self._task is None else [self._task])
        self._report.remove()

    async def _look_often(self) -> None:
        await asyncio.sleep(FILE_SECONDS)
        await every(FILE_SECONDS, self._look)

    async def _look(self) -> None:
        state = self._state.latest()
        if state is None or state.is_over:
            self._report.write(state)
            return
        if not self._is_noted:
            self._is_noted = True
            self._turn_to(NotedStore(self._memory, Ledger(self._files.ledger), not_followed(state)))
            _log.warning("%s", not_followed(state))
        self._report.write(state, failure=not_followed(state))


class _AloneReport:
    """Tells in *file* every second that this process serves by the store of *side* alone, unless another process tells."""

    def __init__(self, file: ReportFile, side: Side, guard: Guard) -> None:
        self._file = file
        self._side: Side = side
        self._guard = guard
        self._due_at = time.monotonic() + _FIRST_SECONDS
        self._is_written = False
        self._told: str | None = None

    def write(self, state: RolloutState | None, *, failure: str | None = None) -> None:
        """Tell it, and why this process takes no part in *state*; not at once, and not where there is no folder for it."""
        now = time.monotonic()
        is_news = failure is not None and failure != self._told
        if (now < self._due_at and not is_news) or not self._file.path.parent.is_dir() or self._file.is_anothers():
            return
        self._due_at, self._is_written, self._told = now + _AGAIN_SECONDS, True, failure
        self._file.write(
            {
                "alone": self._side,
                "epoch": 0 if state is None or failure is None else state.epoch,
                "state": "none recorded" if state is None else state.text,
                "truth": self._side,
                "reads": self._side,
                "is_switched": False,
                "is_complete": False,
                "is_confirmed": True,
                "copied": 0,
                "waiting": 0,
                "stuck": {},
                "failure": failure,
                "fallbacks": 0,
                "guard": self._guard.figures(),
                "switched_at": None,
                "verified": None,
                "comparisons": None,
                "differing": [],
            }
        )

    def remove(self) -> None:
        """Tell nothing any more."""
        if self._is_written:
            self._file.remove()
            self._is_written = False
