"""A gateway under observation: which parts of it are counted, sampled and read, and how that begins and ends."""

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from media_gateway.contracts import Embedder, ReportsUsage, SearchLog, VectorStore
from media_gateway.errors import BackupError
from media_gateway.learning.service import PostgresLearning
from media_gateway.monitoring.families import Reading, Samples
from media_gateway.monitoring.metrics import Metrics
from media_gateway.monitoring.observed import StoreObserver, observed
from media_gateway.monitoring.postgres import PostgresReading
from media_gateway.monitoring.recall import RecallRules, RecallSampler
from media_gateway.monitoring.refreshing import PostgresReader, Refresher
from media_gateway.monitoring.sources import (
    RolloutFacts,
    embedding_reading,
    pool_is_busy,
    pool_reading,
    search_log_reading,
)
from media_gateway.monitoring.surroundings import disk_reading, folder_here, is_local
from media_gateway.rollout import RolloutStore
from media_gateway.settings import Settings
from media_gateway.stores.memory import MemoryStore
from media_gateway.stores.postgres import PostgresStore
from media_gateway.transfer.backup import newest_backup
from media_gateway.transfer.watching import newest_progress

_LEARNING_SECONDS: Final = 60.0


async def _watching(settings: Settings, conninfo: Callable[[], Awaitable[Mapping[str, Any]]]) -> Mapping[str, Any]:
    """Return *conninfo* with the login of the role that watches, where its password is known.

    PostgreSQL shows a role without rights its own sessions alone, and nothing of standbys.
    """
    own = await conninfo()
    if settings.is_embedded or settings.monitor_password is None:
        return own
    return {**own, "user": settings.monitor_role, "password": settings.monitor_password.get_secret_value()}


class PoolWaits:
    """Counts in *metrics* how callers get their connections."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def waited(self, seconds: float) -> None:
        """Count a caller that got a connection."""
        self._metrics.pool_wait.observe(seconds)

    def timed_out(self) -> None:
        """Count a caller that got none."""
        self._metrics.pool_timeouts.inc()


class Monitoring:
    """Puts the parts of one gateway under *metrics*.

    *conninfo* gives libpq's parameters of the server, which is read in the background where it is the backend. What is put
    under the metrics leaves them again when this is closed.
    """

    def __init__(
        self,
        metrics: Metrics,
        settings: Settings,
        *,
        conninfo: Callable[[], Awaitable[Mapping[str, Any]]],
    ) -> None:
        self._metrics = metrics
        self._settings = settings
        self._samplers: dict[str, RecallSampler] = {}
        self._names: list[str] = []
        self._store: VectorStore | None = None
        self._postgres = PostgresReader(lambda: _watching(settings, conninfo), server=settings.server())
        readers = [self._read_backend, self._read_files]
        self._refresher = Refresher(readers, seconds=metrics.refresh_seconds)
        self._learning: Refresher | None = None
        self.pool_observer = PoolWaits(metrics)
        self._put("build", self._build)
        self._put("recall", self._recall)

    @property
    def samplers(self) -> Mapping[str, RecallSampler]:
        """The samplers of recall by the names of their stores."""
        return self._samplers

    def observed(self, store: MemoryStore | PostgresStore) -> VectorStore:
        """Return *store* with its operations counted and its searches sampled."""
        name = "memory" if isinstance(store, MemoryStore) else "postgres"
        if isinstance(store, PostgresStore):
            self._put("pool", lambda: pool_reading(store.pool_measures()))
        observer = StoreObserver(self._metrics, name, records=self._records)
        if not self._settings.recall_sample_share:
            return observed(store, observer)
        rules = RecallRules(
            share=self._settings.recall_sample_share, most_a_minute=self._settings.recall_samples_a_minute
        )
        sampler = RecallSampler(
            store.search,
            rules,
            on_sample=self._metrics.recall_samples.labels(name).inc,
            is_busy=(lambda: pool_is_busy(store.pool_measures()))
            if isinstance(store, PostgresStore)
            else lambda: False,
        )
        self._samplers[name] = sampler
        return observed(store, observer, sampler)

    def unavailable(self) -> None:
        """Tell that PostgreSQL could not be reached when the gateway was to be opened; the next opening tells otherwise."""
        self._metrics.put("readings", lambda: {"postgres_up": 0.0})

    def begin(self, store: VectorStore, embedder: Embedder, search_log: SearchLog | None) -> None:
        """Read *store*, *embedder* and *search_log* from now on, and the server in the background."""
        if isinstance(embedder, ReportsUsage):
            self._put("embedding", lambda: embedding_reading(embedder.usage()))
        if search_log is not None:
            self._put("search log", lambda: search_log_reading(search_log.measures()))
        self.watch_store(store)
        self._put("readings", self._refresher.reading)
        self._refresher.start()

    def watch_store(self, store: VectorStore) -> None:
        """Read *store*, which answers from now on, and what becomes of the rollout where it is one's."""
        self._store = store
        if isinstance(store, RolloutStore):
            self._put("rollout", lambda: rollout_facts(store).samples())

    def watch_learning(self, learning: PostgresLearning) -> None:
        """Read what becomes of events and of recommendations from now on, the latter in the background once a minute."""
        self._put("events", learning.event_samples)
        self._learning = Refresher([learning.live_samples], seconds=_LEARNING_SECONDS)
        self._put("learning", self._learning.reading)
        self._learning.start()

    async def aclose(self) -> None:
        """Stop; closing twice does no harm."""
        if self._learning is not None:
            await self._learning.aclose()
        for name in self._names:
            self._metrics.remove(name)
        self._names.clear()
        for sampler in self._samplers.values():
            await sampler.aclose()
        await self._refresher.aclose()
        await self._postgres.aclose()

    def _put(self, name: str, source: Callable[[], Reading]) -> None:
        self._names.append(name)
        self._metrics.put(name, source)

    def _build(self) -> Reading:
        backend = self._settings.backend
        engine = "usearch" if backend == "memory" else self._settings.engine
        return {
            "build_info": {(version("media-gateway"), backend, engine): 1.0},
            "recall_target_ratio": self._settings.recall_target,
        }

    def _recall(self) -> Reading:
        found = {(name,): sampler.recall for name, sampler in self._samplers.items()}
        return {"recall_ratio": {labels: recall for labels, recall in found.items() if recall is not None}}

    def _records(self) -> float | None:
        count = self._refresher.reading().get("collection_records")
        return count if isinstance(count, float) else None

    async def _read_backend(self) -> Reading:
        # In this order: the server tells where its files are.
        return {**await self._read_collection(), **await self._read_disks()}

    async def _read_collection(self) -> Reading:
        if self._settings.backend == "postgres":
            return await self._postgres.samples()
        if self._store is None:
            return {}
        return {"collection_records": float((await self._store.stats()).count)}

    async def _read_disks(self) -> Reading:
        volumes = {"data": self._settings.memory_path.parent}
        database = database_folder(self._settings, self._postgres.last)
        if database is not None:
            volumes["database"] = database
        return await anyio.to_thread.run_sync(disk_reading, volumes)

    async def _read_files(self) -> Reading:
        return await anyio.to_thread.run_sync(files_reading, self._settings)


def rollout_facts(store: RolloutStore) -> RolloutFacts:
    """Return where the rollout of *store* stands."""
    state = store.state
    shares = {"canary": state.percent / 100, "on": 1.0}
    return RolloutFacts(
        mode=state.mode,
        share=0.0 if state.tripped else shares.get(state.mode, 0.0),
        epoch=state.epoch,
        is_tripped=state.tripped,
        overlap=store.shadow.overlap,
    )


def database_folder(settings: Settings, reading: PostgresReading | None) -> Path | None:
    """Return the folder of the server's files where it is on this machine, None where it is not or cannot be known."""
    if settings.backend == "memory":
        return None
    if settings.is_embedded:
        return settings.embedded_path
    if reading is None or reading.data_directory is None or not is_local(settings.conninfo()):
        return None
    return folder_here(reading.data_directory)


def files_reading(settings: Settings) -> Reading:
    """Return the samples of backups and of the newest resumable transfer.

    A newest backup that is damaged counts as none: somebody has to look.
    """
    try:
        newest = newest_backup(settings.backup_path, settings.backend)
    except BackupError:
        newest = None
    made = 0.0 if newest is None else newest.manifest.made_at.timestamp()
    found: dict[str, Samples] = {"backup_last_success_timestamp_seconds": made}
    progress = newest_progress()
    if progress is not None:
        found["transfer_rows_done"] = float(progress.done)
        if progress.expected is not None:
            found["transfer_rows_expected"] = float(progress.expected)
    return found
