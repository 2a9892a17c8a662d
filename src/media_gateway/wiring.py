"""The one place that names concrete classes: from settings to a store and a gateway."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio.to_thread

from media_gateway.contracts import BackedUp, Embedder, SearchLog, VectorStore
from media_gateway.database.collection import recorded_space
from media_gateway.database.embedding_cache import EmbeddingCacheTable
from media_gateway.database.engine import ENGINES
from media_gateway.database.faults import faults_translated
from media_gateway.database.schema import connect_dedicated, schema_state
from media_gateway.database.search_log import SearchLogTable
from media_gateway.database.server import EmbeddedServer
from media_gateway.embeddings.choice import build_embedder, cached, chosen_provider
from media_gateway.errors import (
    ModelMismatchError,
    SchemaError,
    SettingsError,
    StoreUnavailableError,
    UnsupportedError,
)
from media_gateway.gateway import Companion, Gateway
from media_gateway.learning.opening import LearningDesk, open_desk, scratch_interests, serving_learning
from media_gateway.learning.postgres.interests import PostgresInterests
from media_gateway.learning.service import PostgresLearning
from media_gateway.models import VectorSpace
from media_gateway.monitored import Monitoring
from media_gateway.monitoring.metrics import Metrics
from media_gateway.monitoring.observed import plain
from media_gateway.monitoring.sources import pool_is_busy
from media_gateway.rollout import RolloutParts, RolloutStore, open_rollout
from media_gateway.rollout.guard import GuardRules
from media_gateway.rollout.opening import RolloutFiles, noted, refuse_beside
from media_gateway.rollout.table import RolloutTable
from media_gateway.settings import Settings
from media_gateway.stores.memory import open_memory_store
from media_gateway.stores.memory.backup import MemoryBackup
from media_gateway.stores.postgres import PostgresStore, open_postgres_store
from media_gateway.stores.postgres.backup import PostgresBackup
from media_gateway.stores.postgres.search_log import LogRules, SampledSearchLog
from media_gateway.stores.postgres.tuning.self_tuning import SelfTuning, SelfTuningRules
from media_gateway.transfer.backup import Backups


class GatewayOpening:
    """A gateway about to open: `await` it, or use it in `async with`, which also closes the gateway."""

    def __init__(
        self, settings: Settings, *, embedder: Embedder | None, writable: bool, metrics: Metrics | None = None
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._embedder = embedder
        self._writable = writable
        self._gateway: Gateway | None = None

    def __await__(self) -> Generator[Any, None, Gateway]:
        return self._open().__await__()

    async def __aenter__(self) -> Gateway:
        self._gateway = await self._open()
        return self._gateway

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._gateway is not None:
            await self._gateway.aclose()

    async def _open(self) -> Gateway:
        settings = self._settings
        if self._metrics is None:
            return await self._opened(None)
        monitoring = Monitoring(self._metrics, settings, conninfo=lambda: running_conninfo(settings))
        try:
            return await self._opened(monitoring)
        except BaseException as error:
            await monitoring.aclose()
            if isinstance(error, StoreUnavailableError):
                monitoring.unavailable()
            raise

    async def _opened(self, monitoring: Monitoring | None) -> Gateway:
        settings = self._settings
        chosen = self._embedder or build_embedder(settings)
        space = _agreed(settings, chosen.space)
        try:
            store = await open_store(settings, space=space, writable=self._writable, monitoring=monitoring)
        except ModelMismatchError as error:
            raise _explained(error, settings, given=self._embedder) from error
        log = _search_log(store, settings) if self._writable else None
        embedder = self._embedder or cached(chosen, settings, _cache_table(store))
        learning = _learning(store, settings, writable=self._writable)
        companions: list[Companion] = []
        if monitoring is not None:
            monitoring.begin(store, embedder, log)
            if learning is not None:
                monitoring.watch_learning(learning)
            companions = [monitoring, *_self_tuning(store, settings, monitoring, writable=self._writable)]
        return Gateway(
            store,
            embedder,
            search_log=log,
            learning=learning,
            companions=companions,
        )


def open_gateway(
    settings: Settings | None = None,
    *,
    embedder: Embedder | None = None,
    writable: bool = True,
    metrics: Metrics | None = None,
) -> GatewayOpening:
    """Return a gateway as *settings* (by default those of the environment and `.env`) describe it.

    `async with open_gateway() as gateway:` opens and closes it; `gateway = await open_gateway()` leaves closing to the
    caller. An *embedder* given takes the place of the one that the settings choose, and is closed with the gateway;
    `OwnVectors` is the one for vectors that come ready-made. With *writable* false a memory store's file is only read,
    beside the process that writes it. *metrics* count and sample what the gateway does; without them nothing is counted.

    Raises SettingsError, StoreUnavailableError, ModelMismatchError, and what opening the chosen store raises.
    """
    return GatewayOpening(settings or Settings.read(), embedder=embedder, writable=writable, metrics=metrics)


async def open_store(
    settings: Settings,
    *,
    space: VectorSpace | None = None,
    writable: bool = True,
    monitoring: Monitoring | None = None,
) -> VectorStore:
    """Return the store that *settings* choose, for vectors of *space*; None takes the space on record.

    *monitoring* observes it, and under a rollout both of its stores. Under `memory` no PostgreSQL connection is opened. The embedded server is started when it is the one meant, unless
    `media-gateway db stop` stopped it.
    """
    if settings.backend == "memory":
        memory = await _open_memory(settings, space, writable=writable, monitoring=monitoring)
        return noted(memory, RolloutFiles(path=settings.memory_path)) if writable else memory
    parts = rollout_parts(settings, space=space, writable=writable, monitoring=monitoring)
    return await open_rollout(parts, writable=writable)


async def open_alone(settings: Settings, *, space: VectorSpace | None = None) -> VectorStore:
    """Return the store that *settings* choose for writing, without the one that a rollout has beside it.

    Raises UnsupportedError where such writes would be lost to a rollout that is recorded: in memory, which keeps no change
    log, and in PostgreSQL while memory is the truth.
    """
    store = None if settings.backend == "memory" else await open_postgres(settings, space=space)
    try:
        await refuse_beside(rollout_parts(settings), "memory" if store is None else "postgres")
    except BaseException:
        if store is not None:
            await store.aclose()
        raise
    return store or await _open_memory(settings, space, writable=True)


async def open_postgres(settings: Settings, *, space: VectorSpace | None = None) -> PostgresStore:
    """Return the PostgreSQL store alone, whatever the rollout says."""
    return await open_postgres_store(settings, conninfo=await server_conninfo(settings), space=space)


async def _open_observed(settings: Settings, space: VectorSpace | None, monitoring: Monitoring | None) -> VectorStore:
    if monitoring is None:
        return await open_postgres(settings, space=space)
    conninfo = await server_conninfo(settings)
    return monitoring.observed(
        await open_postgres_store(settings, conninfo=conninfo, space=space, pool_observer=monitoring.pool_observer)
    )


def rollout_parts(
    settings: Settings,
    *,
    space: VectorSpace | None = None,
    writable: bool = True,
    monitoring: Monitoring | None = None,
) -> RolloutParts:
    """Return what a rollout of the collection that *settings* mean is put together from; nothing is opened."""
    return RolloutParts(
        open_memory=lambda: _open_memory(settings, space, writable=writable, monitoring=monitoring),
        open_postgres=lambda: _open_observed(settings, space, monitoring),
        table=RolloutTable(lambda: running_conninfo(settings), server=settings.server()),
        files=RolloutFiles(path=settings.memory_path),
        rules=GuardRules(
            error_rate=settings.guard_error_rate,
            p95_ms=settings.guard_latency_ms,
            overlap=settings.guard_overlap,
            window=settings.guard_window,
            fewest=settings.guard_samples,
        ),
    )


async def _open_memory(
    settings: Settings, space: VectorSpace | None, *, writable: bool, monitoring: Monitoring | None = None
) -> VectorStore:
    store = await open_memory_store(
        settings.memory_path,
        space=space,
        writable=writable,
        recall_target=settings.recall_target,
        exact=settings.exact,
    )
    return store if monitoring is None else monitoring.observed(store)


async def running_conninfo(settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters of the server that *settings* mean, without starting it."""
    return EmbeddedServer(settings.embedded_path).conninfo() if settings.is_embedded else settings.conninfo()


def postgres_of(store: VectorStore) -> PostgresStore | None:
    """Return the PostgreSQL store that *store* is, or that a rollout has beside memory."""
    found = plain(store.new if isinstance(store, RolloutStore) else store)
    return found if isinstance(found, PostgresStore) else None


async def open_existing(settings: Settings) -> VectorStore | None:
    """Return the store that *settings* choose, for reading, or None where no collection was made yet.

    Nothing is made or changed, an embedded server that was never made among it; one that is there is started. Raises
    SchemaError when the schema is behind.
    """
    if settings.backend == "memory":
        path = settings.memory_path
        if not path.exists() and not path.with_name(path.name + ".journal").exists():
            return None
        return await open_store(settings, writable=False)
    if settings.is_embedded and not settings.embedded_path.exists():
        return None
    conninfo = await server_conninfo(settings)
    if not await _has_collection(conninfo, settings.server()):
        return None
    unchanged = settings.model_copy(update={"auto_migrate": False})
    return await open_postgres_store(unchanged, conninfo=conninfo, space=None)


async def _has_collection(conninfo: dict[str, Any], server: str) -> bool:
    with faults_translated(server):
        connection = await connect_dedicated(conninfo)
        try:
            return not (await schema_state(connection)).is_empty and await recorded_space(connection) is not None
        finally:
            await connection.close()


async def open_collection(settings: Settings, *, is_alone: bool = False) -> VectorStore:
    """Return the store that *settings* choose for reading, whatever model made its vectors.

    A collection that records no model yet is opened for the one that *settings* choose. With *is_alone* it is the
    backend's own store, whatever a rollout reads from. Raises what `open_store` and `build_embedder` raise.
    """

    async def opened(space: VectorSpace | None) -> VectorStore:
        if is_alone and settings.backend == "postgres":
            return await open_postgres(settings, space=space)
        return await open_store(settings, space=space, writable=False)

    try:
        return await opened(None)
    except (ModelMismatchError, SchemaError, SettingsError):
        return await opened(_agreed(settings, build_embedder(settings).space))


async def server_conninfo(settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters of the server that *settings* mean, the embedded one running by then."""
    if not settings.is_embedded:
        return settings.conninfo()
    server = EmbeddedServer(settings.embedded_path)
    await anyio.to_thread.run_sync(server.ensure_running)
    return server.conninfo()


def _cache_table(store: VectorStore) -> EmbeddingCacheTable | None:
    postgres = postgres_of(store)
    if postgres is None:
        return None
    return EmbeddingCacheTable(postgres.serving_connection, server=postgres.endpoint.server)


async def backups(settings: Settings, folder: Path | None = None, *, keeps_owners: bool = True) -> Backups:
    """Return the backups of the backend that *settings* choose, in *folder* or else where they say.

    *keeps_owners* False restores everything as the role's own. Under `memory` no PostgreSQL connection is opened.
    """
    source: BackedUp
    if settings.backend == "memory":
        source = MemoryBackup(settings.memory_path)
    else:
        source = PostgresBackup(
            await server_conninfo(settings),
            server=settings.server(),
            engine=ENGINES[settings.engine],
            programs=settings.postgres_bin_dir,
            keeps_owners=keeps_owners,
        )
    return Backups(folder or settings.backup_path, source)


def _learning(store: VectorStore, settings: Settings, *, writable: bool) -> PostgresLearning | None:
    """Return the learning beside *store*, or None where there is none: it lives in PostgreSQL."""
    postgres = postgres_of(store)
    if postgres is None:
        return None
    return serving_learning(
        postgres.endpoint,
        postgres.serving_connection,
        dimension=postgres.space.dimension,
        writable=writable,
        days=settings.event_days,
    )


@asynccontextmanager
async def open_learning(settings: Settings) -> AsyncGenerator[LearningDesk]:
    """Lend what works on what is learned, on a connection of its own to the PostgreSQL that *settings* mean.

    Raises UnsupportedError under `memory`, StoreUnavailableError, and SchemaError where there is no collection yet.
    """
    if settings.backend == "memory":
        raise UnsupportedError(
            "learning lives in PostgreSQL; choose it with --backend postgres or RUVECTOR_BACKEND=postgres",
            feature="learning",
            store="memory",
        )
    conninfo = await server_conninfo(settings)
    engine = ENGINES[settings.engine]
    if (store := await open_existing(settings)) is None:
        raise SchemaError(
            f"{settings.server()} has no collection to learn for yet; load one with media-gateway load sample"
        )
    await store.aclose()
    async with open_desk(conninfo, server=settings.server(), engine=engine) as desk:
        yield desk


@asynccontextmanager
async def open_scratch_interests(settings: Settings, *, space: VectorSpace) -> AsyncGenerator[PostgresInterests]:
    """Lend an empty recommender for texts of *space* in a database of its own on the PostgreSQL that *settings* mean.

    The embedded server is started. The database is dropped in the end. Raises StoreUnavailableError, and SchemaError when the
    role may not create databases.
    """
    conninfo = await server_conninfo(settings)
    engine = ENGINES[settings.engine]
    async with scratch_interests(conninfo, server=settings.server(), engine=engine, space=space) as interests:
        yield interests


def search_log_table(store: VectorStore) -> SearchLogTable | None:
    """Return the table of logged searches beside *store*, or None where there is none: it lives in PostgreSQL."""
    postgres = postgres_of(store)
    if postgres is None:
        return None
    return SearchLogTable(
        postgres.serving_connection,
        server=postgres.endpoint.server,
        space=postgres.space,
        vector_type=postgres.endpoint.engine.vector_type,
    )


def _self_tuning(store: VectorStore, settings: Settings, monitoring: Monitoring, *, writable: bool) -> list[SelfTuning]:
    """Return what looks after the searches of *store*, begun, where it is wanted and can be."""
    postgres = postgres_of(store)
    # A pooler in transaction mode would hand the lock of a session on to others.
    if postgres is None or settings.self_tuning == "off" or settings.transaction_pooler or not writable:
        return []
    rules = SelfTuningRules(
        mode=settings.self_tuning,
        target=settings.recall_target,
        least_width=settings.self_tuning_least_ef,
        largest_width=settings.self_tuning_most_ef,
        pause=timedelta(hours=settings.self_tuning_hours),
    )
    tuning = SelfTuning(
        postgres.endpoint,
        postgres.space,
        rules,
        tune=postgres.tune_as,
        sampled=monitoring.samplers.get("postgres"),
        is_busy=lambda: pool_is_busy(postgres.pool_measures()),
    )
    tuning.start()
    return [tuning]


def _search_log(store: VectorStore, settings: Settings) -> SearchLog | None:
    table = search_log_table(store)
    if table is None or settings.search_log_share == 0:
        return None
    rules = LogRules(
        share=settings.search_log_share,
        keep_text=settings.search_log_text,
        days=settings.search_log_days,
        most_rows=settings.search_log_rows,
    )
    return SampledSearchLog(table, rules)


def _explained(error: ModelMismatchError, settings: Settings, *, given: Embedder | None) -> ModelMismatchError:
    """Return *error* with the reason for its model where nobody asked for that one."""
    if given is not None or settings.embedding_provider != "auto":
        return error
    return ModelMismatchError(
        f"{error}. EMBEDDING_PROVIDER, which is auto, means {chosen_provider(settings)} with these settings",
        given=error.given,
        expected=error.expected,
    )


def _agreed(settings: Settings, space: VectorSpace) -> VectorSpace:
    if settings.dimension is not None and settings.dimension != space.dimension:
        raise SettingsError(
            f"RUVECTOR_DIMENSION is {settings.dimension}, but {space.model} gives {space.dimension} numbers; "
            "leave it out, or choose a model of that dimension",
            field="dimension",
            given=settings.dimension,
            expected=space.dimension,
        )
    return space
