"""Merging many records into a collection that has some: COPY into a table of this session, then one INSERT."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from media_gateway.database.collection import claim_space
from media_gateway.database.faults import faults_translated, is_connection_lost, translated
from media_gateway.database.pool import Endpoint
from media_gateway.database.schema import connect_dedicated
from media_gateway.database.statements import filled
from media_gateway.database.vectors import register_vectors
from media_gateway.errors import DuplicateKeyError, OutcomeUnknownError, shown
from media_gateway.json_values import dump
from media_gateway.models import ContentVector, Merged, VectorSpace
from media_gateway.validation import checked_items, encoded_metadata

_STAGE: Final = """
CREATE TEMPORARY TABLE content_arriving
    (id text COLLATE "C" NOT NULL, vector {{vector_type}} NOT NULL, metadata jsonb NOT NULL) ON COMMIT DROP
"""
_COPY: Final = "COPY content_arriving (id, vector, metadata) FROM STDIN (FORMAT binary)"
_TWICE: Final = "SELECT id FROM content_arriving GROUP BY id HAVING count(*) > 1 LIMIT 1"
# In the order of keys, so that writers never wait for one another in a circle; only excluded.* is set, since functions
# are refused there on distributed tables.
_INSERT: Final = """
INSERT INTO content_vectors (id, vector, metadata) SELECT id, vector, metadata FROM content_arriving ORDER BY id
ON CONFLICT (id) DO NOTHING
"""
_OVERWRITE: Final = """
INSERT INTO content_vectors (id, vector, metadata) SELECT id, vector, metadata FROM content_arriving ORDER BY id
ON CONFLICT (id) DO UPDATE
SET vector = excluded.vector, metadata = excluded.metadata, updated_at = excluded.updated_at
"""


async def merge(
    endpoint: Endpoint, space: VectorSpace, batches: AsyncIterator[Sequence[ContentVector]], *, overwrite: bool
) -> Merged:
    """Write the records of all *batches* into the collection of *endpoint*, or none; see `Merges`.

    It runs on a connection of its own without a time limit, and the index is kept up while rows come. Raises
    OutcomeUnknownError when the connection was lost at the end.
    """
    with faults_translated(endpoint.server):
        connection = await connect_dedicated(endpoint.conninfo)
    is_committing = False
    try:
        await claim_space(connection, endpoint.engine, space)
        await register_vectors(connection, endpoint.engine)
        await connection.execute("SET statement_timeout = 0")
        await connection.execute("BEGIN")
        await connection.execute(filled(_STAGE, {"vector_type": endpoint.engine.vector_type}))
        count = await _copy(connection, endpoint, space, batches)
        await _refuse_twice(connection)
        cursor = await connection.execute(_OVERWRITE if overwrite else _INSERT)
        written = cursor.rowcount
        is_committing = True
        await connection.execute("COMMIT")
    except psycopg.Error as error:
        if is_committing and is_connection_lost(error):
            raise OutcomeUnknownError(
                f"the connection to {endpoint.server} was lost at the end of a transfer: it is there wholly or not at "
                "all; compare both sides (media-gateway transfer verify) before going on"
            ) from error
        raise translated(error, endpoint.server) from error
    finally:
        await connection.close()
    return Merged(written=written, kept=count - written)


async def _copy(
    connection: AsyncConnection[Any],
    endpoint: Endpoint,
    space: VectorSpace,
    batches: AsyncIterator[Sequence[ContentVector]],
) -> int:
    count = 0
    cursor = connection.cursor()
    async with cursor.copy(_COPY) as copy:
        copy.set_types(["text", endpoint.engine.vector_type, "jsonb"])
        async for batch in batches:
            for item in checked_items(batch, space.dimension):
                encoded_metadata(item)
                await copy.write_row((item.key, item.vector, Jsonb(item.metadata, dumps=dump)))
                count += 1
    return count


async def _refuse_twice(connection: AsyncConnection[Any]) -> None:
    cursor = await connection.execute(_TWICE)
    row = await cursor.fetchone()
    if row is not None:
        raise DuplicateKeyError(
            f"the key {shown(row[0])} is given twice in one transfer; give each key once",
            field="key",
            given=row[0],
            expected="each key once",
        )
