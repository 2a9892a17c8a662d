"""Bulk load: binary COPY straight into the table, the vector index built afterwards when the table was empty."""

import asyncio
import logging
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import anyio.to_thread
import numpy as np
import psycopg
from psycopg import AsyncConnection, sql

from media_gateway.contracts import OnStage
from media_gateway.database.collection import claim_space
from media_gateway.database.faults import faults_translated, first_line, is_connection_lost, translated
from media_gateway.database.index_definitions import INDEX_NAMES, IndexDefinition, IndexKind
from media_gateway.database.pool import Endpoint
from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import OutcomeUnknownError
from media_gateway.models import ContentVector, VectorSpace
from media_gateway.stores.postgres.indexes.catalogue import BuildNote, now, read_indexes, write_note
from media_gateway.stores.postgres.indexes.estimate import MEASURED_RATE, estimate_index
from media_gateway.stores.postgres.indexes.progress import BuildProgress, watched
from media_gateway.stores.postgres.indexes.resources import (
    WITHOUT_WORKERS,
    BuildPlan,
    BuildResources,
    apply_plan,
    lacks_shared_memory,
    planned_build,
)
from media_gateway.validation import checked_items, encoded_metadata

logger = logging.getLogger(__name__)

_COPY: Final = "COPY content_vectors (id, vector, metadata) FROM STDIN (FORMAT binary)"
_COPY_FROZEN: Final = "COPY content_vectors (id, vector, metadata) FROM STDIN (FORMAT binary, FREEZE)"
_ANALYZE: Final = "ANALYZE content_vectors (media_type, genre_ids, vote_average, release_date, search_text, metadata)"
"""What conditions speak of. Statistics of the vectors serve nothing, and comparing them takes most of the time."""
_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_TRAILER: Final = struct.pack(">h", -1)
_JSONB_VERSION: Final = b"\x01"
_row_start = struct.Struct(">hi")
_size = struct.Struct(">i")
_vector_header = struct.Struct(">iHH")


async def bulk_load(
    endpoint: Endpoint,
    space: VectorSpace,
    batches: AsyncIterator[Sequence[ContentVector]],
    *,
    index: IndexKind | None = None,
    resources: BuildResources | None = None,
    on_stage: OnStage | None = None,
) -> int:
    """Write the records of all *batches* into the collection of *endpoint*, or none, and return how many.

    Runs on a connection of its own, without a time limit. An empty table is locked, loaded without its vector indexes
    and indexed then, all in one transaction; a table that has rows keeps its indexes and serves meanwhile. The indexes
    are those that were there, or the one of the kind *index* in their place; *resources* say what building it may take.
    *on_stage* hears what follows the rows, how much of it is done and how much there is: the building of an index, with
    what it takes. Raises DuplicateKeyError for a key that is there already or comes twice, and what `checked_items`
    raises.
    """
    with faults_translated(endpoint.server):
        connection = await connect_dedicated(endpoint.conninfo)
    is_committing = False
    try:
        await claim_space(connection, endpoint.engine, space)
        await connection.execute("BEGIN")
        # One mark in the change log in place of an entry for each record.
        await connection.execute("SELECT content_changes_mark()")
        indexes = await _indexes_to_build(connection, endpoint, index)
        for definition in indexes.wanted:
            # Refused before the rows are sent, where it cannot be built.
            definition.statement(endpoint.engine, space.dimension)
        for present in indexes.present:
            await connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(present)))
        count = await _copy(connection, space, batches, is_frozen=indexes.is_empty)
        for definition in indexes.wanted:
            estimate = estimate_index(count, space.dimension, definition, rate=MEASURED_RATE)
            plan = await planned_build(connection, estimate, resources or BuildResources())
            await _build(connection, endpoint, plan, on_stage)
        is_committing = True
        await connection.execute("COMMIT")
        # Of a table that is not this role's, ANALYZE only warns; autovacuum sees to it.
        await connection.execute(_ANALYZE)
    except psycopg.Error as error:
        if is_committing and is_connection_lost(error):
            raise OutcomeUnknownError(
                f"the connection to {endpoint.server} was lost at the end of a bulk load: it is there wholly or not at "
                "all; look at the count (media-gateway stats) before loading again"
            ) from error
        raise translated(error, endpoint.server) from error
    else:
        return count
    finally:
        await connection.close()


@dataclass(frozen=True, kw_only=True)
class _Indexes:
    """Whether the table was empty and is locked now; which vector indexes it has, and which it is to have."""

    is_empty: bool
    present: Sequence[str] = ()
    wanted: Sequence[IndexDefinition] = ()


async def _indexes_to_build(connection: AsyncConnection[Any], endpoint: Endpoint, kind: IndexKind | None) -> _Indexes:
    """Lock the table against others when it is empty and ours, and return what is to be indexed after the load."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM content_vectors) OR NOT pg_has_role(relowner, 'USAGE') "
        "FROM pg_class WHERE oid = 'content_vectors'::regclass"
    )
    row = await cursor.fetchone()
    if row is None or row[0]:
        return _Indexes(is_empty=False)
    await connection.execute("LOCK TABLE content_vectors IN ACCESS EXCLUSIVE MODE")
    cursor = await connection.execute("SELECT EXISTS (SELECT FROM content_vectors)")
    row = await cursor.fetchone()
    if row is None or row[0]:
        return _Indexes(is_empty=False)
    # Emptying the empty table in this transaction lets COPY write rows that need no vacuum later.
    await connection.execute("TRUNCATE content_vectors")
    ours = {
        state.name: state.definition
        for state in await read_indexes(connection, endpoint.engine)
        if state.definition is not None
    }
    if kind is None:
        wanted = [definition for name, definition in ours.items() if name == definition.name]
    else:
        wanted = [ours.get(INDEX_NAMES[kind]) or IndexDefinition(kind=kind)]
    return _Indexes(is_empty=True, present=list(ours), wanted=wanted)


async def _copy(
    connection: AsyncConnection[Any],
    space: VectorSpace,
    batches: AsyncIterator[Sequence[ContentVector]],
    *,
    is_frozen: bool,
) -> int:
    count = 0
    cursor = connection.cursor()
    async with (
        cursor.copy(_COPY_FROZEN if is_frozen else _COPY) as copy,
        aclosing(_encoded_ahead(batches, space.dimension)) as encoded,
    ):
        await copy.write(_SIGNATURE)
        async for rows, data in encoded:
            await copy.write(data)
            count += rows
        await copy.write(_TRAILER)
    return count


async def _encoded_ahead(
    batches: AsyncIterator[Sequence[ContentVector]], dimension: int
) -> AsyncGenerator[tuple[int, bytes]]:
    """Yield each batch checked and encoded, with its number of rows.

    The next one is read and encoded on a thread while the server takes in the one before: the server is the slower of
    the two, so that what this costs does not show.
    """
    following = asyncio.create_task(_next_encoded(batches, dimension))
    try:
        while (encoded := await following) is not None:
            following = asyncio.create_task(_next_encoded(batches, dimension))
            yield encoded
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _next_encoded(batches: AsyncIterator[Sequence[ContentVector]], dimension: int) -> tuple[int, bytes] | None:
    async for batch in batches:
        if batch:
            return await anyio.to_thread.run_sync(_checked_rows, batch, dimension)
    return None


def _checked_rows(batch: Sequence[ContentVector], dimension: int) -> tuple[int, bytes]:
    items = checked_items(batch, dimension)
    return len(items), b"".join(_encoded(items))


def _encoded(items: Sequence[ContentVector]) -> Iterable[bytes | memoryview]:
    """Yield the rows in PostgreSQL's binary COPY format (manual of COPY, "Binary Format")."""
    vectors = np.stack([item.vector for item in items]).astype(">f4")
    dimension = vectors.shape[1]
    header = _vector_header.pack(dimension * 4 + 4, dimension, 0)
    stride = dimension * 4
    numbers = memoryview(vectors.tobytes())
    for position, item in enumerate(items):
        key = item.key.encode()
        metadata = encoded_metadata(item)
        yield _row_start.pack(3, len(key)) + key + header
        yield numbers[position * stride : (position + 1) * stride]
        yield _size.pack(len(metadata) + 1) + _JSONB_VERSION + metadata


async def _build(
    connection: AsyncConnection[Any], endpoint: Endpoint, plan: BuildPlan, on_stage: OnStage | None
) -> None:
    estimate = plan.estimate
    definition = estimate.definition
    what = f"building {definition.name}, which takes {estimate.memory_bytes / 2**20:,.0f} MiB of memory"

    def tell(progress: BuildProgress) -> None:
        if on_stage is not None:
            on_stage(what, progress.done, estimate.rows)

    if not plan.fits_memory:
        logger.warning(
            "building %s needs %d MB of memory, and %s allows %d MB: it will take many times longer; raise "
            "maintenance_work_mem there",
            definition.name,
            estimate.memory_bytes >> 20,
            endpoint.server,
            plan.maintenance >> 20,
        )
    await apply_plan(connection, plan)
    began = time.monotonic()
    if on_stage is not None:
        on_stage(what, 0, estimate.rows)
    async with watched(endpoint, estimate.rows, tell if on_stage is not None else None):
        await _create(connection, definition.statement(endpoint.engine, estimate.dimension))
    seconds = time.monotonic() - began
    note = BuildNote(built_at=now(), rows=estimate.rows, dimension=estimate.dimension, seconds=seconds, changes=0)
    await write_note(connection, definition.name, note)


async def _create(connection: AsyncConnection[Any], statement: LiteralString) -> None:
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except psycopg.Error as error:
        if not lacks_shared_memory(error):
            raise
        logger.warning("%s: building with one process, which needs none", first_line(error))
        await connection.execute(WITHOUT_WORKERS)
        await connection.execute(statement)
