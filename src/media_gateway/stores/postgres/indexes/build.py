"""Building, rebuilding and dropping a vector index of a collection that goes on serving.

Everything is done CONCURRENTLY: writers and searchers never wait. PostgreSQL leaves an invalid index behind when such a
build ends early; here that is dropped again, whatever ended it.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, LiteralString

import anyio
import psycopg
from psycopg import AsyncConnection, sql

from media_gateway.database.advisory import advisory_lock
from media_gateway.database.faults import faults_translated, first_line
from media_gateway.database.index_definitions import INDEX_NAMES, IndexDefinition, IndexKind
from media_gateway.database.pool import Endpoint
from media_gateway.database.schema import connect_dedicated
from media_gateway.database.statements import trusted
from media_gateway.errors import IndexBusyError, InvalidRequestError, StoreError
from media_gateway.stores.postgres.indexes.catalogue import (
    BuildNote,
    IndexState,
    TableState,
    now,
    read_indexes,
    read_table,
    write_note,
)
from media_gateway.stores.postgres.indexes.estimate import BuildRate, estimate_index
from media_gateway.stores.postgres.indexes.field_catalogue import read_field_indexes
from media_gateway.stores.postgres.indexes.progress import OnProgress, watched
from media_gateway.stores.postgres.indexes.resources import (
    WITHOUT_WORKERS,
    BuildPlan,
    BuildResources,
    apply_plan,
    lacks_shared_memory,
    planned_build,
)
from media_gateway.stores.postgres.indexes.sample import build_rate

logger = logging.getLogger(__name__)

_LOCK: Final = 0x6D65_6469_6169_6478  # "mediaidx"
_SWAP_SECONDS: Final = 60.0
_SWAP_WAIT: Final = "1s"
_CLEANING_SECONDS: Final = 60

OnPlan = Callable[[BuildPlan], None]


@dataclass(frozen=True, kw_only=True)
class BuiltIndex:
    """What a build made: the *index*, what it was given, the *seconds* it took, and the indexes *dropped* for it."""

    index: IndexState
    plan: BuildPlan
    seconds: float
    dropped: Sequence[str]


async def build_index(
    endpoint: Endpoint,
    definition: IndexDefinition,
    *,
    resources: BuildResources | None = None,
    replaces: bool = False,
    rate: BuildRate | None = None,
    on_plan: OnPlan | None = None,
    on_progress: OnProgress | None = None,
) -> BuiltIndex:
    """Build *definition* on the collection of *endpoint*, which serves meanwhile.

    With *replaces* it takes the place of every other vector index of ours, which are dropped when it is valid; without,
    it stands beside that of the other kind. *on_plan* hears beforehand what the build takes, its time scaled from
    *rate*, by default that of `build_rate`; *on_progress* hears how far it is. When the build fails or is cancelled,
    what it made is dropped again.

    Raises InvalidRequestError where such an index is there, IndexBusyError while another build runs, StoreFullError
    where the disk cannot hold it, and what `IndexDefinition.statement` raises.
    """
    resources = resources or BuildResources()
    async with building(endpoint) as connection:
        table, indexes = await read_table(connection), await read_indexes(connection, endpoint.engine)
        definition.statement(endpoint.engine, table.dimension)
        obstacle = next((index for index in indexes if index.name == definition.name and index.is_valid), None)
        _check_obstacle(obstacle, definition, replaces=replaces)
        rate = rate or await build_rate(
            connection, endpoint.engine, definition, table=table, indexes=indexes, cores=resources.cores
        )
        estimate = estimate_index(table.rows, table.dimension, definition, rate=rate)
        plan = await planned_build(connection, estimate, resources)
        dropped = await _drop_leftovers(connection, indexes)
        await apply_plan(connection, plan)
        if on_plan is not None:
            on_plan(plan)
        name = definition.name if obstacle is None else f"{definition.name}_new"
        statement = definition.statement(endpoint.engine, table.dimension, name=name, concurrently=True)
        seconds = await run_build(connection, endpoint, statement, table, on_progress)
        others = [index.name for index in indexes if index.definition and index.name not in dropped] if replaces else []
        await _take_place(connection, endpoint, name, definition.name, others)
        index = await _noted(connection, endpoint, definition.name, table, seconds)
        return BuiltIndex(index=index, plan=plan, seconds=seconds, dropped=[*dropped, *others])


async def rebuild_index(
    endpoint: Endpoint,
    kind: IndexKind,
    *,
    resources: BuildResources | None = None,
    on_plan: OnPlan | None = None,
    on_progress: OnProgress | None = None,
) -> BuiltIndex:
    """Build the index of *kind* anew as it is defined, also one that a build left invalid; the old one serves meanwhile.

    The rests of builds that were cut off are dropped. Raises InvalidRequestError where there is no such index,
    IndexBusyError while another build runs, and StoreFullError.
    """
    resources = resources or BuildResources()
    async with building(endpoint) as connection:
        table, indexes = await read_table(connection), await read_indexes(connection, endpoint.engine)
        found = next((index for index in indexes if index.name == INDEX_NAMES[kind]), None)
        if found is None or found.definition is None:
            raise _missing(kind)
        rate = await build_rate(
            connection, endpoint.engine, found.definition, table=table, indexes=indexes, cores=resources.cores
        )
        estimate = estimate_index(table.rows, table.dimension, found.definition, rate=rate)
        plan = await planned_build(connection, estimate, resources)
        dropped = await _drop_leftovers(connection, [index for index in indexes if index.name != found.name])
        await apply_plan(connection, plan)
        if on_plan is not None:
            on_plan(plan)
        # The name is one of ours.
        statement = trusted(f"REINDEX INDEX CONCURRENTLY {found.name}")
        seconds = await run_build(connection, endpoint, statement, table, on_progress)
        index = await _noted(connection, endpoint, found.name, table, seconds)
        return BuiltIndex(index=index, plan=plan, seconds=seconds, dropped=dropped)


async def drop_index(endpoint: Endpoint, kind: IndexKind) -> IndexState:
    """Drop the index of *kind* without anybody waiting, and return what it was; raises InvalidRequestError for none."""
    async with building(endpoint) as connection:
        indexes = await read_indexes(connection, endpoint.engine)
        found = next((index for index in indexes if index.name == INDEX_NAMES[kind]), None)
        if found is None:
            raise _missing(kind)
        await drop_by_name(connection, found.name)
        return found


def _check_obstacle(found: IndexState | None, wanted: IndexDefinition, *, replaces: bool) -> None:
    if found is None:
        return
    if found.definition == wanted:
        raise InvalidRequestError(
            f"{wanted.name} is there already, with m {wanted.m} and ef_construction {wanted.ef_construction}; "
            f"build it anew with media-gateway index rebuild --kind {wanted.kind}",
            field="kind",
            given=wanted.kind,
        )
    if not replaces:
        has = "other parameters"
        if found.definition is not None:
            has = f"m {found.definition.m} and ef_construction {found.definition.ef_construction}"
        raise InvalidRequestError(
            f"{wanted.name} is there with {has}; add --replace to build the one that you want and drop that one",
            field="kind",
            given=wanted.kind,
        )


def _missing(kind: IndexKind) -> InvalidRequestError:
    return InvalidRequestError(
        f"there is no {INDEX_NAMES[kind]}; build it with media-gateway index build --kind {kind}",
        field="kind",
        given=kind,
    )


@asynccontextmanager
async def building(endpoint: Endpoint) -> AsyncGenerator[AsyncConnection[Any]]:
    """Lend a connection without time limits to the one builder that a collection has at a time."""
    with faults_translated(endpoint.server):
        connection = await connect_dedicated(endpoint.conninfo)
        try:
            # Never waited for: a waiting statement would hold the snapshot that a concurrent build waits for.
            async with advisory_lock(connection, _LOCK) as is_ours:
                if not is_ours:
                    raise IndexBusyError(
                        f"another build of an index is under way on {endpoint.server}; wait until it has ended: "
                        "media-gateway index status shows how far it is",
                        server=endpoint.server,
                    )
                yield connection
        finally:
            await connection.close()


async def run_build(
    connection: AsyncConnection[Any],
    endpoint: Endpoint,
    statement: LiteralString | sql.Composed,
    table: TableState,
    on_progress: OnProgress | None,
) -> float:
    """Run the building *statement* and return its seconds; what it leaves when it ends early is dropped."""
    began = time.monotonic()
    try:
        async with watched(endpoint, table.rows, on_progress):
            try:
                await connection.execute(statement)
            except psycopg.Error as error:
                if not lacks_shared_memory(error):
                    raise
                logger.warning("%s: building with one process, which needs none", first_line(error))
                await drop_rests(connection, endpoint)
                await connection.execute(WITHOUT_WORKERS)
                await connection.execute(statement)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await _clean(endpoint, connection)
        raise
    return time.monotonic() - began


async def _clean(endpoint: Endpoint, building: AsyncConnection[Any]) -> None:
    """Drop what an interrupted build left; what cannot be dropped now is told, and the next build drops it."""
    try:
        connection = building if not building.closed else await connect_dedicated(endpoint.conninfo)
        try:
            await connection.execute("SELECT set_config('statement_timeout', %s, false)", [f"{_CLEANING_SECONDS}s"])
            await drop_rests(connection, endpoint)
        finally:
            await connection.close()
    except psycopg.Error as error:
        logger.warning(
            "the build was stopped, and its rest could not be dropped (%s); media-gateway index rebuild does that",
            first_line(error),
        )


async def drop_rests(connection: AsyncConnection[Any], endpoint: Endpoint) -> list[str]:
    """Drop what builds of ours that were cut off have left, and return the names."""
    return await _drop_leftovers(connection, await read_indexes(connection, endpoint.engine))


async def _drop_leftovers(connection: AsyncConnection[Any], indexes: Sequence[IndexState]) -> list[str]:
    fields = await read_field_indexes(connection)
    names = [index.name for index in (*indexes, *fields) if index.is_leftover]
    for name in names:
        await drop_by_name(connection, name)
    return names


async def drop_by_name(connection: AsyncConnection[Any], name: str) -> None:
    """Drop the index without anybody waiting."""
    await connection.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name)))


async def _take_place(
    connection: AsyncConnection[Any], endpoint: Endpoint, built: str, name: str, others: Sequence[str]
) -> None:
    """Drop *others* and give *built* its *name*, in one moment: a search finds the old ones or the new one."""
    if not others and built == name:
        return
    deadline = time.monotonic() + _SWAP_SECONDS
    while True:
        try:
            async with connection.transaction():
                # Searches that come meanwhile queue behind this, so it gives way again soon.
                await connection.execute("SELECT set_config('lock_timeout', %s, true)", [_SWAP_WAIT])
                for other in others:
                    await connection.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(other)))
                if built != name:
                    await connection.execute(
                        sql.SQL("ALTER INDEX {} RENAME TO {}").format(sql.Identifier(built), sql.Identifier(name))
                    )
            return
        except psycopg.errors.LockNotAvailable as error:
            if time.monotonic() < deadline:
                await anyio.sleep(0.2)
                continue
            if built != name:
                await drop_by_name(connection, built)
            raise StoreError(
                f"the index was built, but {endpoint.server} has had transactions on the table for "
                f"{_SWAP_SECONDS:.0f} s, so that the old one could not be dropped; end them and try again"
            ) from error


async def _noted(
    connection: AsyncConnection[Any], endpoint: Endpoint, name: str, before: TableState, seconds: float
) -> IndexState:
    note = BuildNote(
        built_at=now(), rows=before.rows, dimension=before.dimension, seconds=seconds, changes=before.changes
    )
    await write_note(connection, name, note)
    found = next(index for index in await read_indexes(connection, endpoint.engine) if index.name == name)
    if not found.is_valid:
        raise StoreError(f"{name} was built, but {endpoint.server} calls it invalid; run media-gateway index rebuild")
    return replace(found, note=note)
