"""Bulk load: binary COPY straight into the table, the vector index built afterwards when the table was empty."""

import logging
import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final

import numpy as np
import psycopg
from psycopg import AsyncConnection

from media_gateway.database.collection import claim_space
from media_gateway.database.faults import faults_translated, is_connection_lost, translated
from media_gateway.database.pool import Endpoint
from media_gateway.database.schema import connect_dedicated
from media_gateway.database.statements import trusted
from media_gateway.errors import OutcomeUnknownError
from media_gateway.models import ContentVector, VectorSpace
from media_gateway.validation import checked_items, encoded_metadata

logger = logging.getLogger(__name__)

_COPY: Final = "COPY content_vectors (id, vector, metadata) FROM STDIN (FORMAT binary)"
_COPY_FROZEN: Final = "COPY content_vectors (id, vector, metadata) FROM STDIN (FORMAT binary, FREEZE)"
_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_TRAILER: Final = struct.pack(">h", -1)
_JSONB_VERSION: Final = b"\x01"
_row_start = struct.Struct(">hi")
_size = struct.Struct(">i")
_vector_header = struct.Struct(">iHH")


async def bulk_load(endpoint: Endpoint, space: VectorSpace, batches: AsyncIterator[Sequence[ContentVector]]) -> int:
    """Write the records of all *batches* into the collection of *endpoint*, or none, and return how many.

    Runs on a connection of its own, without a time limit. An empty table is locked, loaded without its vector index
    and indexed then, all in one transaction; a table that has rows keeps its index and serves meanwhile. Raises
    DuplicateKeyError for a key that is there already or comes twice, and what `checked_items` raises.
    """
    with faults_translated(endpoint.server):
        connection = await connect_dedicated(endpoint.conninfo)
    is_committing = False
    try:
        await claim_space(connection, endpoint.engine, space)
        await connection.execute("BEGIN")
        index = await _index_to_rebuild(connection)
        if index is not None:
            await connection.execute("DROP INDEX content_vectors_hnsw_idx")
        count = await _copy(connection, space, batches, is_frozen=index is not None)
        if index is not None:
            await _build(connection, index, count, space)
        is_committing = True
        await connection.execute("COMMIT")
        # Of a table that is not this role's, ANALYZE only warns; autovacuum sees to it.
        await connection.execute("ANALYZE content_vectors")
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


async def _index_to_rebuild(connection: AsyncConnection[Any]) -> str | None:
    """Return the definition of the vector index when the table is empty and ours, which is then locked against others."""
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM content_vectors) OR NOT pg_has_role(relowner, 'USAGE') "
        "FROM pg_class WHERE oid = 'content_vectors'::regclass"
    )
    row = await cursor.fetchone()
    if row is None or row[0]:
        return None
    await connection.execute("LOCK TABLE content_vectors IN ACCESS EXCLUSIVE MODE")
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM content_vectors), pg_get_indexdef(to_regclass('content_vectors_hnsw_idx'))"
    )
    row = await cursor.fetchone()
    if row is None or row[0] or row[1] is None:
        return None
    # Emptying the empty table in this transaction lets COPY write rows that need no vacuum later.
    await connection.execute("TRUNCATE content_vectors")
    return str(row[1])


async def _copy(
    connection: AsyncConnection[Any],
    space: VectorSpace,
    batches: AsyncIterator[Sequence[ContentVector]],
    *,
    is_frozen: bool,
) -> int:
    count = 0
    cursor = connection.cursor()
    async with cursor.copy(_COPY_FROZEN if is_frozen else _COPY) as copy:
        await copy.write(_SIGNATURE)
        async for batch in batches:
            items = checked_items(batch, space.dimension)
            if items:
                await copy.write(b"".join(_encoded(items)))
                count += len(items)
        await copy.write(_TRAILER)
    return count


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


async def _build(connection: AsyncConnection[Any], definition: str, count: int, space: VectorSpace) -> None:
    # pgvector keeps the graph in maintenance_work_mem while it builds; beyond that the build slows down greatly.
    needed = int(count * (space.dimension * 4 + 16 * 2 * 8 * 1.3))
    cursor = await connection.execute("SELECT pg_size_bytes(current_setting('maintenance_work_mem'))")
    row = await cursor.fetchone()
    if row is not None and row[0] < needed:
        logger.warning(
            "the index build needs about %d MB of maintenance_work_mem and has %d MB; it will be slower",
            needed >> 20,
            row[0] >> 20,
        )
    await connection.execute(trusted(definition))
