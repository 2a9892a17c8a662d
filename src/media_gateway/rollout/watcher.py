"""The background work of a rollout: hearing of new states, tripping the guard, switching, and telling of it."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, Final

from media_gateway.errors import MediaGatewayError
from media_gateway.rollout.keeper import StateKeeper, process_name
from media_gateway.rollout.ledger import Ledger
from media_gateway.rollout.patience import every, stop
from media_gateway.rollout.report import ReportFile
from media_gateway.rollout.store import RolloutStore

_log = logging.getLogger(__name__)

FILE_SECONDS: Final = 0.1
TABLE_SECONDS: Final = 0.5
_REPORT_SECONDS: Final = 1.0
_SUMMARY_SECONDS: Final = 60.0
_LAST_COPIES: Final = 2.0
PROBE_PATIENCE: Final = 1.0
"""Seconds after which a server that does not answer counts as away."""


class Watcher:
    """Runs the tasks of *store* until it is closed."""

    def __init__(self, store: RolloutStore, keeper: StateKeeper, report: ReportFile, ledger: Ledger) -> None:
        self._store = store
        self._keeper = keeper
        self._report = report
        self._ledger = ledger
        self._tasks: list[asyncio.Task[None]] = []
        self._reported_at = 0.0
        self._reported: tuple[Any, ...] = ()
        self._switched_at: float | None = None
        self._wants_comparison = False
        self._comparison = 0
        self._verified: dict[str, Any] | None = None

    def start(self) -> None:
        """Begin to watch, to copy and to follow."""
        live = self._store.live
        self._keeper.table.patience = PROBE_PATIENCE
        works: list[Coroutine[Any, Any, None]] = [
            live.applier.run(),
            live.follow(),
            every(FILE_SECONDS, self._watch),
            every(FILE_SECONDS / 2, self._aim),
            every(FILE_SECONDS, self._compare),
            every(TABLE_SECONDS, self._poll_table),
            every(_SUMMARY_SECONDS, self._keep_summary),
        ]
        self._tasks = [asyncio.create_task(work) for work in works]

    async def aclose(self) -> None:
        """Bring over what can be in a moment, stop, and leave the files in order."""
        await self._store.live.settle(_LAST_COPIES)
        await stop(self._tasks)
        await self._keep_summary()
        await self._keeper.table.aclose()
        await self._ledger.aclose()
        self._report.remove()

    async def _watch(self) -> None:
        try:
            await self._look()
        finally:
            self._tell()

    async def _look(self) -> None:
        store = self._store
        state = self._keeper.current()
        if state is not None and state.id != store.state.id:
            if not state.tripped:
                store.guard.reset()
            # First: at a next start this tells that the journal went on under this state, past the end of an earlier rollout.
            await store.live.note_epoch(state.epoch)
            _log.info("rollout epoch %d: %s, by %s: %s", state.epoch, state.text, state.who, state.why)
            store.state = state
            self._compare_anew()
        if store.state.mode in {"canary", "on"} and not store.state.tripped and store.live.is_complete:
            reason = store.guard.verdict()
            tripped = None if reason is None else await self._keeper.trip(reason)
            if tripped is not None:
                store.state = tripped
                _log.error("the guard turned reads back to memory: %s", reason)

    async def _aim(self) -> None:
        """Bring the truth to where the state wants it; apart from `_watch`, which must never wait."""
        live, wanted = self._store.live, self._store.state.truth
        if live.truth != wanted and await live.aim(wanted):
            self._switched_at = time.time()
            self._compare_anew()
            self._tell(at_once=True)
            _log.warning("writes go to %s first from now on", wanted)

    def _compare_anew(self) -> None:
        self._verified, self._wants_comparison = None, self._store.state.mode == "off"
        self._comparison += 1

    async def _compare(self) -> None:
        """Compare both stores once reads and writes are back at memory."""
        live = self._store.live
        is_settled = live.truth == self._store.state.truth and live.is_complete and live.facts.is_confirmed
        if not self._wants_comparison or not is_settled:
            return
        number = self._comparison
        try:
            found = await live.verify()
        except MediaGatewayError as error:
            _log.info("the stores could not be compared: %s", error)
            await asyncio.sleep(_REPORT_SECONDS)
            return
        if number == self._comparison:
            self._verified, self._wants_comparison = found.as_json(), False
            self._tell(at_once=True)

    async def _poll_table(self) -> None:
        try:
            await self._keeper.reconcile()
        except MediaGatewayError:
            self._store.guard.probed(is_there=False)
        else:
            self._store.guard.probed(is_there=True)

    async def _keep_summary(self) -> None:
        summary = self._store.shadow.taken()
        if summary is None:
            return
        try:
            await self._keeper.table.add_summary(process_name(), summary)
        except MediaGatewayError as error:
            _log.warning("the comparisons of a minute were not kept: %s", error)

    def _tell(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        store = self._store
        notable = (store.state.id, store.live.truth, store.live.facts)
        if not at_once and now - self._reported_at < _REPORT_SECONDS and notable == self._reported:
            return
        self._reported_at, self._reported = now, notable
        summary = store.shadow.summary()
        self._report.write(
            {
                **store.facts(),
                "switched_at": self._switched_at,
                "verified": self._verified,
                "comparisons": None if summary is None else summary.as_json(),
                "differing": [one.as_json() for one in store.shadow.differing],
            }
        )
