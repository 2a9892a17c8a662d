"""The work of the `index` commands, on the PostgreSQL that the settings mean."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from media_gateway.contracts import Prewarms
from media_gateway.database.engine import ENGINES
from media_gateway.database.faults import faults_translated
from media_gateway.database.index_definitions import IndexDefinition, IndexKind
from media_gateway.database.pool import Endpoint
from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import UnsupportedError
from media_gateway.models import Prewarmed
from media_gateway.settings import Settings
from media_gateway.stores.postgres.indexes import (
    BuildPlan,
    BuildProgress,
    BuildResources,
    FieldIndex,
    IndexState,
    RebuildAdvice,
    TableState,
    build_rate,
    current_progress,
    estimate_index,
    local_resources,
    planned_build,
    read_field_indexes,
    read_indexes,
    read_rebuild_advice,
    read_table,
)
from media_gateway.wiring import open_collection, server_conninfo


@dataclass(frozen=True, kw_only=True)
class IndexReport:
    """The table, its vector indexes, whether each should be built anew, those on *fields*, and how far a build under way is."""

    table: TableState
    indexes: list[tuple[IndexState, RebuildAdvice]]
    fields: list[FieldIndex]
    progress: BuildProgress | None


async def index_endpoint(settings: Settings) -> Endpoint:
    """Return where the server is; raises UnsupportedError when the settings mean the memory store."""
    if settings.backend != "postgres":
        raise UnsupportedError(
            "the memory store sees to its index itself; give --backend postgres to mean PostgreSQL's",
            feature="index commands",
            store="memory",
        )
    return Endpoint(conninfo=await server_conninfo(settings), server=settings.server(), engine=ENGINES[settings.engine])


def build_resources(settings: Settings, maintenance: int | None) -> BuildResources:
    """Return what is known of the server's machine, which is this one for the embedded server."""
    if settings.is_embedded:
        return local_resources(settings.embedded_path, maintenance=maintenance)
    return BuildResources(maintenance=maintenance)


async def read_report(settings: Settings) -> IndexReport:
    """Return what there is and what to do about it; nothing is changed."""
    endpoint = await index_endpoint(settings)
    async with _connected(endpoint) as connection:
        table = await read_table(connection)
        indexes = await read_indexes(connection, endpoint.engine)
        progress = await current_progress(connection, table.rows)
        advised = [
            (index, await _advice(connection, index, table, settings, is_building=progress is not None))
            for index in indexes
        ]
        fields = await read_field_indexes(connection)
        return IndexReport(table=table, indexes=advised, fields=fields, progress=progress)


async def plan(settings: Settings, definition: IndexDefinition, maintenance: int | None) -> BuildPlan:
    """Return what building *definition* on the collection takes, its time from a short build over some of its rows."""
    endpoint = await index_endpoint(settings)
    resources = build_resources(settings, maintenance)
    async with _connected(endpoint) as connection:
        table = await read_table(connection)
        definition.statement(endpoint.engine, table.dimension)
        indexes = await read_indexes(connection, endpoint.engine)
        rate = await build_rate(
            connection, endpoint.engine, definition, table=table, indexes=indexes, cores=resources.cores
        )
        estimate = estimate_index(table.rows, table.dimension, definition, rate=rate)
        return await planned_build(connection, estimate, resources)


async def warm(settings: Settings) -> Prewarmed:
    """Bring the collection's index into the server's memory."""
    await index_endpoint(settings)
    store = await open_collection(settings, is_alone=True)
    try:
        if not isinstance(store, Prewarms):
            raise UnsupportedError("this store has nothing to warm", feature="warming", store=settings.backend)
        return await store.prewarm()
    finally:
        await store.aclose()


async def _advice(
    connection: AsyncConnection[Any], index: IndexState, table: TableState, settings: Settings, *, is_building: bool
) -> RebuildAdvice:
    # Builds are made one at a time, and begin by clearing away what others have left.
    if index.is_leftover and is_building:
        return RebuildAdvice(is_advised=False, reason="it is being built")
    if index.is_leftover:
        kind: IndexKind = "vector" if index.definition is None else index.definition.kind
        return RebuildAdvice(
            is_advised=True,
            reason=f"it is the rest of a build that was cut off; media-gateway index rebuild --kind {kind} clears it away",
        )
    return await read_rebuild_advice(connection, index, table, settings.recall_target)


@asynccontextmanager
async def _connected(endpoint: Endpoint) -> AsyncGenerator[AsyncConnection[Any]]:
    with faults_translated(endpoint.server):
        connection = await connect_dedicated(endpoint.conninfo)
        try:
            yield connection
        finally:
            await connection.close()
