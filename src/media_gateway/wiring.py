"""The one place that names concrete classes: from settings to a store and a gateway."""

from collections.abc import Generator
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
from media_gateway.errors import ModelMismatchError, SchemaError, SettingsError
from media_gateway.gateway import Gateway
from media_gateway.models import VectorSpace
from media_gateway.rollout import RolloutParts, RolloutStore, open_rollout
from media_gateway.rollout.guard import GuardRules
from media_gateway.rollout.opening import RolloutFiles, noted, refuse_beside
from media_gateway.rollout.table import RolloutTable
from media_gateway.settings import Settings
from media_gateway.stores.memory import MemoryStore, open_memory_store
from media_gateway.stores.memory.backup import MemoryBackup
from media_gateway.stores.postgres import PostgresStore, open_postgres_store
from media_gateway.stores.postgres.backup import PostgresBackup
from media_gateway.stores.postgres.search_log import LogRules, SampledSearchLog
from media_gateway.transfer.backup import Backups


class GatewayOpening:
    """A gateway about to open: `await` it, or use it in `async with`, which also closes the gateway."""

    def __init__(self, settings: Settings, *, embedder: Embedder | None, writable: bool) -> None:
        self._settings = settings
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
        embedder = self._embedder or build_embedder(settings)
        try:
            store = await open_store(settings, space=_agreed(settings, embedder.space), writable=self._writable)
        except ModelMismatchError as error:
            raise _explained(error, settings, given=self._embedder) from error
        log = _search_log(store, settings) if self._writable else None
        return Gateway(store, self._embedder or cached(embedder, settings, _cache_table(store)), search_log=log)


def open_gateway(
    settings: Settings | None = None, *, embedder: Embedder | None = None, writable: bool = True
) -> GatewayOpening:
    """Return a gateway as *settings* (by default those of the environment and `.env`) describe it.

    `async with open_gateway() as gateway:` opens and closes it; `gateway = await open_gateway()` leaves closing to the
    caller. An *embedder* given takes the place of the one that the settings choose, and is closed with the gateway;
    `OwnVectors` is the one for vectors that come ready-made. With *writable* false a memory store's file is only read,
    beside the process that writes it.

    Raises SettingsError, StoreUnavailableError, ModelMismatchError, and what opening the chosen store raises.
    """
    return GatewayOpening(settings or Settings.read(), embedder=embedder, writable=writable)


async def open_store(settings: Settings, *, space: VectorSpace | None = None, writable: bool = True) -> VectorStore:
    """Return the store that *settings* choose, for vectors of *space*; None takes the space on record.

    Under `memory` no PostgreSQL connection is opened. The embedded server is started when it is the one meant, unless
    `media-gateway db stop` stopped it.
    """
    if settings.backend == "memory":
        memory = await _open_memory(settings, space, writable=writable)
        return noted(memory, RolloutFiles(path=settings.memory_path)) if writable else memory
    return await open_rollout(rollout_parts(settings, space=space, writable=writable), writable=writable)


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


def rollout_parts(settings: Settings, *, space: VectorSpace | None = None, writable: bool = True) -> RolloutParts:
    """Return what a rollout of the collection that *settings* mean is put together from; nothing is opened."""
    return RolloutParts(
        open_memory=lambda: _open_memory(settings, space, writable=writable),
        open_postgres=lambda: open_postgres(settings, space=space),
        table=RolloutTable(lambda: _running_conninfo(settings), server=settings.server()),
        files=RolloutFiles(path=settings.memory_path),
        rules=GuardRules(
            error_rate=settings.guard_error_rate,
            p95_ms=settings.guard_latency_ms,
            overlap=settings.guard_overlap,
            window=settings.guard_window,
            fewest=settings.guard_samples,
        ),
    )


async def _open_memory(settings: Settings, space: VectorSpace | None, *, writable: bool) -> MemoryStore:
    return await open_memory_store(
        settings.memory_path,
        space=space,
        writable=writable,
        recall_target=settings.recall_target,
        exact=settings.exact,
    )


async def _running_conninfo(settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters of the server that *settings* mean, without starting it."""
    return EmbeddedServer(settings.embedded_path).conninfo() if settings.is_embedded else settings.conninfo()


def _postgres_of(store: VectorStore) -> PostgresStore | None:
    """Return the PostgreSQL store that *store* is, or that a rollout has beside memory."""
    found = store.new if isinstance(store, RolloutStore) else store
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
    postgres = _postgres_of(store)
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


def search_log_table(store: VectorStore) -> SearchLogTable | None:
    """Return the table of logged searches beside *store*, or None where there is none: it lives in PostgreSQL."""
    postgres = _postgres_of(store)
    if postgres is None:
        return None
    return SearchLogTable(
        postgres.serving_connection,
        server=postgres.endpoint.server,
        space=postgres.space,
        vector_type=postgres.endpoint.engine.vector_type,
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
