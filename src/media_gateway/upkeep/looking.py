"""What the doctor looks at, put together from the settings."""

from collections.abc import Mapping
from typing import Any, Final

import anyio.to_thread
from psycopg import AsyncConnection

from media_gateway.contracts import VectorStore
from media_gateway.database.engine import ENGINES
from media_gateway.database.index_definitions import IndexDefinition, fitting_kind
from media_gateway.database.server import EmbeddedServer
from media_gateway.embeddings.choice import build_embedder
from media_gateway.models import VectorSpace
from media_gateway.monitoring import diagnosis
from media_gateway.monitoring.diagnosis import (
    BackupSeen,
    CollectionFacts,
    Diagnosis,
    DiagnosisParts,
    IndexFacts,
    Limits,
    MemoryFiles,
    RolloutSeen,
)
from media_gateway.rollout.opening import RolloutFiles
from media_gateway.settings import Settings
from media_gateway.stores.memory.storage import StoredFiles
from media_gateway.stores.postgres import open_postgres_store
from media_gateway.stores.postgres.indexes import (
    BuildResources,
    IndexState,
    TableState,
    current_progress,
    estimate_index,
    local_resources,
    planned_build,
    read_indexes,
    read_rebuild_advice,
    read_table,
)
from media_gateway.stores.postgres.situation import SMALL
from media_gateway.transfer.backup import newest_backup
from media_gateway.whole_files import holder_of

_PATIENCE: Final = "-c statement_timeout=10s -c lock_timeout=2s"


async def diagnose(
    settings: Settings, *, limits: Limits | None = None, pool: Mapping[str, int] | None = None
) -> Diagnosis:
    """Return what is wrong with the backend that *settings* choose; nothing is changed or started.

    *pool* are the counters of the pool in this process, as `Pool.measures` gives them, for a service that asks about
    itself. Raises SettingsError when the settings name no server that could be looked for.
    """
    return await diagnosis.diagnose(settings, _parts(settings, pool), limits=limits)


def server_address(settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters of the server that *settings* mean, which is not started."""
    return EmbeddedServer(settings.embedded_path).conninfo() if settings.is_embedded else settings.conninfo()


def build_resources(settings: Settings) -> BuildResources:
    """Return what is known of the server's machine, which is this one for the embedded server."""
    return local_resources(settings.embedded_path) if settings.is_embedded else BuildResources()


def _parts(settings: Settings, pool: Mapping[str, int] | None) -> DiagnosisParts:
    return DiagnosisParts(
        space=lambda: _chosen_space(settings),
        conninfo=lambda: server_address(settings),
        collection=lambda connection: _collection(connection, settings),
        open_store=lambda: _open_store(settings),
        newest_backup=lambda: anyio.to_thread.run_sync(_newest_backup, settings),
        memory_files=lambda: anyio.to_thread.run_sync(_memory_files, settings),
        rollout=lambda: anyio.to_thread.run_sync(_rollout, settings),
        searches_index=SMALL,
        pool=pool,
    )


def _chosen_space(settings: Settings) -> VectorSpace:
    return build_embedder(settings).space


async def _open_store(settings: Settings) -> VectorStore:
    few = settings.model_copy(update={"auto_migrate": False, "pool_min": 0, "pool_max": 1})
    address = server_address(settings)
    if not settings.transaction_pooler:
        # Opening waits for locks as long as it takes, which a diagnosis must not. Poolers take no options.
        address = {**address, "options": f"{address.get('options') or ''} {_PATIENCE}"}
    return await open_postgres_store(few, conninfo=address, space=None)


async def _collection(connection: AsyncConnection[Any], settings: Settings) -> CollectionFacts:
    engine = ENGINES[settings.engine]
    table, indexes = await read_table(connection), await read_indexes(connection, engine)
    progress = await current_progress(connection, table.rows)
    building = None
    if progress is not None:
        building = progress.phase if progress.percent is None else f"{progress.phase}, {progress.percent:.0f} %"
    known = next((index.definition for index in indexes if index.is_valid and index.definition), None)
    estimate = estimate_index(table.rows, table.dimension, known or IndexDefinition(kind=fitting_kind(table.dimension)))
    resources = build_resources(settings)
    # Whether the disk can hold it is told by itself.
    plan = await planned_build(connection, estimate, BuildResources(memory=resources.memory, cores=resources.cores))
    return CollectionFacts(
        rows=table.rows,
        dimension=table.dimension,
        indexes=[await _index(connection, index, table, settings) for index in indexes],
        building=building,
        graph_bytes=estimate.memory_bytes,
        given_bytes=plan.maintenance,
    )


async def _index(
    connection: AsyncConnection[Any], index: IndexState, table: TableState, settings: Settings
) -> IndexFacts:
    advice = await read_rebuild_advice(connection, index, table, settings.recall_target)
    return IndexFacts(
        name=index.name,
        kind=None if index.definition is None else index.definition.kind,
        is_valid=index.is_valid,
        is_leftover=index.is_leftover,
        bytes=index.bytes,
        rebuild_reason=advice.reason if advice.is_advised else None,
    )


def _newest_backup(settings: Settings) -> BackupSeen | None:
    newest = newest_backup(settings.backup_path, settings.backend)
    if newest is None:
        return None
    try:
        size = newest.path.stat().st_size
    except OSError:
        size = None
    return BackupSeen(
        path=newest.path,
        made_at=newest.manifest.made_at,
        expected_bytes=newest.manifest.size,
        found_bytes=size,
    )


def _memory_files(settings: Settings) -> MemoryFiles:
    path = settings.memory_path
    files = StoredFiles(path)
    if files.journal is not None:
        for _ in files.journal.records():
            # Reading a record verifies it.
            pass
    return MemoryFiles(
        path=path,
        snapshot_bytes=path.stat().st_size if path.exists() else 0,
        journal_bytes=files.journal_path.stat().st_size if files.journal_path.exists() else 0,
        space=files.space,
        holder=holder_of(path.with_name(path.name + ".lock")),
    )


def _rollout(settings: Settings) -> RolloutSeen | None:
    files = RolloutFiles(path=settings.memory_path)
    state = files.state.latest()
    if state is None:
        return None
    service = files.report.read()
    unfollowed = None
    if service is not None and service.get("alone") and service["failure"]:
        unfollowed = f"process {service['pid']} takes no part in it: {service['failure']}"
    return RolloutSeen(
        text=state.text,
        at=state.at,
        why=state.why,
        is_tripped=state.tripped,
        has_memory=not state.is_over,
        unfollowed=unfollowed,
    )
