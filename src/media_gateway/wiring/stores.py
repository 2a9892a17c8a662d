"""From settings to a store: the one that serves, with what a rollout has beside it, or one alone."""

from typing import Any

from media_gateway.contracts import VectorStore
from media_gateway.database.collection import recorded_space
from media_gateway.database.faults import faults_translated
from media_gateway.database.schema import connect_dedicated, schema_state
from media_gateway.embeddings.choice import build_embedder
from media_gateway.errors import ModelMismatchError, SchemaError, SettingsError
from media_gateway.models import VectorSpace
from media_gateway.monitored import Monitoring
from media_gateway.monitoring.observed import plain
from media_gateway.rollout import RolloutParts, RolloutStore, open_rollout
from media_gateway.rollout.guard import GuardRules
from media_gateway.rollout.opening import RolloutFiles, noted, refuse_beside
from media_gateway.rollout.table import RolloutTable
from media_gateway.settings import Settings
from media_gateway.stores.memory import open_memory_store
from media_gateway.stores.postgres import PostgresStore, open_postgres_store
from media_gateway.wiring.servers import running_conninfo, server_conninfo


async def open_store(
    settings: Settings,
    *,
    space: VectorSpace | None = None,
    writable: bool = True,
    monitoring: Monitoring | None = None,
) -> VectorStore:
    """Return the store that *settings* choose, for vectors of *space*; None takes the space on record.

    *monitoring* observes it, and under a rollout both of its stores. Under `memory` no PostgreSQL connection is opened.
    The embedded server is started when it is the one meant, unless `media-gateway db stop` stopped it.
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
        return await opened(agreed_space(settings, build_embedder(settings).space))


def postgres_of(store: VectorStore) -> PostgresStore | None:
    """Return the PostgreSQL store that *store* is, or that a rollout has beside memory."""
    found = plain(store.new if isinstance(store, RolloutStore) else store)
    return found if isinstance(found, PostgresStore) else None


def agreed_space(settings: Settings, space: VectorSpace) -> VectorSpace:
    """Return *space*; raises SettingsError when *settings* ask for vectors of another dimension."""
    if settings.dimension is not None and settings.dimension != space.dimension:
        raise SettingsError(
            f"RUVECTOR_DIMENSION is {settings.dimension}, but {space.model} gives {space.dimension} numbers; "
            "leave it out, or choose a model of that dimension",
            field="dimension",
            given=settings.dimension,
            expected=space.dimension,
        )
    return space
