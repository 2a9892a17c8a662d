"""From settings to a gateway: a store, what embeds, and what stands beside them."""

from collections.abc import Generator
from datetime import timedelta
from types import TracebackType
from typing import Any

from media_gateway.contracts import Companion, Embedder, SearchLog, VectorStore
from media_gateway.database.embedding_cache import EmbeddingCacheTable
from media_gateway.embeddings.choice import build_embedder, cached, chosen_provider
from media_gateway.errors import ModelMismatchError, StoreUnavailableError
from media_gateway.gateway import Gateway
from media_gateway.learning.opening import serving_learning
from media_gateway.learning.service import PostgresLearning
from media_gateway.monitored import Monitoring
from media_gateway.monitoring.metrics import Metrics
from media_gateway.monitoring.sources import pool_is_busy
from media_gateway.searching import StoreInUse
from media_gateway.settings import Settings
from media_gateway.stores.postgres.search_log import LogRules, SampledSearchLog
from media_gateway.stores.postgres.tuning.self_tuning import SelfTuning, SelfTuningRules
from media_gateway.wiring.following import following
from media_gateway.wiring.search_logs import search_log_table
from media_gateway.wiring.servers import running_conninfo
from media_gateway.wiring.stores import agreed_space, open_store, postgres_of


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
        space = agreed_space(settings, chosen.space)
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
        use = StoreInUse(store)
        if self._writable:
            companions += following(use, settings, space=space, monitoring=monitoring)
        return Gateway(
            use,
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
    beside the process that writes it, and a rollout that is set later is not followed. *metrics* count and sample what
    the gateway does; without them nothing is counted.

    Raises SettingsError, StoreUnavailableError, ModelMismatchError, and what opening the chosen store raises.
    """
    return GatewayOpening(settings or Settings.read(), embedder=embedder, writable=writable, metrics=metrics)


def _cache_table(store: VectorStore) -> EmbeddingCacheTable | None:
    postgres = postgres_of(store)
    if postgres is None:
        return None
    return EmbeddingCacheTable(postgres.serving_connection, server=postgres.endpoint.server)


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


def _explained(error: ModelMismatchError, settings: Settings, *, given: Embedder | None) -> ModelMismatchError:
    """Return *error* with the reason for its model where nobody asked for that one."""
    if given is not None or settings.embedding_provider != "auto":
        return error
    return ModelMismatchError(
        f"{error}. EMBEDDING_PROVIDER, which is auto, means {chosen_provider(settings)} with these settings",
        given=error.given,
        expected=error.expected,
    )
