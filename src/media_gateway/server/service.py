"""The gateway that the service answers with: opened in the background, looked after, and closed in the end."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from typing import Any, Final

from media_gateway.contracts import Prewarms
from media_gateway.embeddings.choice import chosen_provider
from media_gateway.errors import MediaGatewayError, SettingsError, StoreUnavailableError
from media_gateway.gateway import Gateway
from media_gateway.models import StoreStats
from media_gateway.monitoring.diagnosis import Diagnosis
from media_gateway.monitoring.metrics import Metrics
from media_gateway.server.learning import keep_learning
from media_gateway.server.readiness import Check, Readiness
from media_gateway.server.watch import StoreWatch
from media_gateway.settings import Settings
from media_gateway.upkeep import diagnose
from media_gateway.wiring import open_gateway

_log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.5
"""Between two looks at the store, and two attempts to open it: readiness must turn false within two seconds."""
_LONGER_SECONDS: Final = 3.0
"""Between attempts to open a store that is there and cannot be used: somebody has to do something first."""
_WARM_TEXT: Final = "warming up"
_STATS_SECONDS: Final = 2.0


class Service:
    """What all routes share: the settings, the metrics, and the gateway as soon as it is open.

    Opening is tried again and again, so that the service starts while PostgreSQL is down, and recovers by itself.
    """

    def __init__(self, settings: Settings, *, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self._gateway: Gateway | None = None
        self._watch: StoreWatch | None = None
        self._failure: MediaGatewayError | None = None
        self._warmth: str | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._first = asyncio.Event()
        self._stats: StoreStats | None = None
        self._counted_at = 0.0
        self._counting = asyncio.Lock()
        self._examining = asyncio.Lock()

    @property
    def gateway(self) -> Gateway:
        """The open gateway; raises the error that keeps it from opening while it is not."""
        if self._gateway is not None:
            return self._gateway
        if self._failure is not None:
            # Raised again and again: without this, each time would add to its traceback.
            raise self._failure.with_traceback(None)
        raise StoreUnavailableError("the service is starting and opens its store", server="", reason="starting")

    async def start(self, *, patience: float) -> None:
        """Begin to open the gateway; wait for the first attempt, *patience* seconds at most.

        Raises SettingsError, and under `memory`, where there is no server to wait for, whatever keeps the store from opening.
        """
        self._task(self._run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._first.wait()
        failure = self._failure
        if failure is not None and (isinstance(failure, SettingsError) or self.settings.backend == "memory"):
            await self.aclose()
            raise failure

    def stop_waiting(self) -> None:
        """Let `start` return at once."""
        self._first.set()

    async def stats(self) -> StoreStats:
        """Return the figures of the collection as they were two seconds ago at most.

        A store counts its records for them, so that those who ask at the same time share one answer.
        """
        async with self._counting:
            if self._stats is None or time.monotonic() - self._counted_at > _STATS_SECONDS:
                self._stats = await self.gateway.stats()
                self._counted_at = time.monotonic()
            return self._stats

    async def diagnosis(self) -> Diagnosis:
        """Examine the backend; an examination asks the server much, so one at a time is enough."""
        async with self._examining:
            return await diagnose(self.settings)

    async def aclose(self) -> None:
        """Close the gateway; nothing that was acknowledged is lost."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        gateway, self._gateway = self._gateway, None
        if self._watch is not None:
            await self._watch.aclose()
        if gateway is not None:
            await gateway.aclose()

    def readiness(self) -> Readiness:
        """Return the checks as they were half a second ago at most; nothing is waited for."""
        if self._gateway is None or self._watch is None:
            why = (
                "it is being opened"
                if self._failure is None
                else f"it cannot be opened: {type(self._failure).__name__}"
            )
            return Readiness(checks=[Check(name="gateway", passes=False, detail=why)])
        warm = Check(name="warm", passes=self._warmth is not None, detail=self._warmth or "the index is being read")
        return Readiness(checks=[Check(name="gateway", passes=True, detail="it is open"), *self._watch.checks(), warm])

    async def _run(self) -> None:
        while True:
            try:
                await self._step()
            except Exception:  # noqa: BLE001  logged below
                # This loop is what recovers from everything else.
                _log.exception("the store could not be looked after")
            is_steady = self._failure is None or isinstance(self._failure, StoreUnavailableError)
            await asyncio.sleep(LOOK_SECONDS if is_steady else _LONGER_SECONDS)

    async def _step(self) -> None:
        if self._gateway is None:
            try:
                await self._open()
            finally:
                if self._gateway is None:
                    self._first.set()
        elif self._watch is not None and await self._watch.look():
            # A server that was started again has nothing in memory; it serves meanwhile.
            self._task(self._warm(self._gateway))

    async def _open(self) -> None:
        try:
            gateway = await open_gateway(self.settings, metrics=self.metrics)
        except MediaGatewayError as error:
            if str(error) != str(self._failure):
                _log.warning("the store cannot be opened: %s", error)
            self._failure = error
            return
        if self._failure is not None:
            _log.warning("the store is open")
        self._failure = None
        watch = StoreWatch(lambda: gateway.store)
        try:
            await watch.look()
        except BaseException:
            # Nobody else knows of them yet, to close them.
            await watch.aclose()
            await gateway.aclose()
            raise
        self._watch, self._gateway = watch, gateway
        self._task(self._warm(gateway))
        if self.settings.backend == "postgres" and self.settings.learn:
            self._task(keep_learning(self.settings))

    async def _warm(self, gateway: Gateway) -> None:
        """Load the model and bring the index into memory; what fails here costs the first searches time and nothing else."""
        began = time.perf_counter()
        try:
            if chosen_provider(self.settings) == "local":
                await gateway.embed(_WARM_TEXT)
            read = 0
            store = gateway.store
            if isinstance(store, Prewarms):
                read = (await store.prewarm()).bytes
        except Exception as error:  # noqa: BLE001  whatever it is, searches can do without
            _log.warning("the index could not be warmed: %s", error)
            self._warmth = f"it could not be warmed ({type(error).__name__}), so first searches take longer"
        else:
            self._warmth = f"{read:,} bytes were read in {time.perf_counter() - began:.1f} s"
        finally:
            self._first.set()

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
