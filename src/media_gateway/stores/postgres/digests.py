"""Digests of a PostgreSQL collection, computed where the rows are: what travels is a hash a row, or one sum of all.

A row is hashed as `models.digests.row_image` describes it; the vector's bytes come from the function that the engine's
type itself is sent by.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

from media_gateway.database.faults import faults_translated
from media_gateway.database.pool import Endpoint
from media_gateway.database.schema import connect_dedicated
from media_gateway.database.statements import filled
from media_gateway.models import CollectionDigest, RowHash

_IMAGE: Final = (
    "int4send(octet_length(id)) || convert_to(id, 'UTF8') || {{send}}(vector) || convert_to(metadata::text, 'UTF8')"
)
_LANE: Final = "sum(('x' || encode(substr(hash, {}, 8), 'hex'))::bit(64)::bigint)"
# OFFSET 0 keeps the planner from computing the hash once for each lane.
_DIGEST: Final = (
    f"SELECT count(*), {', '.join(_LANE.format(start) for start in (1, 9, 17, 25))} "  # noqa: S608
    f"FROM content_vectors, LATERAL (SELECT sha256({_IMAGE}) AS hash OFFSET 0) AS hashed"
)
_ROW_HASHES: Final = f"SELECT id, sha256({_IMAGE}) FROM content_vectors ORDER BY id"  # noqa: S608
_ROW_IMAGES: Final = f"SELECT id, {_IMAGE} FROM content_vectors WHERE id = ANY(%(keys)s::text[])"  # noqa: S608
_SAMPLE: Final = "SELECT id FROM content_vectors ORDER BY hashtextextended(id, 0), id LIMIT %(count)s"
_SEND: Final = "SELECT typsend::regproc::text FROM pg_type WHERE oid = %s::regtype"
_HASHES_AT_ONCE: Final = 5_000


async def digest(endpoint: Endpoint) -> CollectionDigest:
    """Return the digest of the collection of *endpoint* at one moment.

    It runs on a connection of its own without a time limit: about 35,000 rows of 384 numbers a second.
    """
    async with _reading(endpoint) as (connection, send):
        return await digest_on(connection, send=send)


async def digest_on(connection: AsyncConnection[Any], *, send: str = "vector_send") -> CollectionDigest:
    """Return the digest of the collection that *connection* sees, of a type that is sent by the function *send*.

    For callers who hold a snapshot, or a database that no store is open on.
    """
    cursor = await connection.execute(_with(_DIGEST, send))
    row = await cursor.fetchone()
    count, *sums = row or (0, 0, 0, 0, 0)
    return CollectionDigest.of(count, [number or 0 for number in sums])


async def row_hashes(endpoint: Endpoint) -> AsyncIterator[list[RowHash]]:
    """Yield key and hash of each row in the order of the keys, all of one moment."""
    async with _reading(endpoint) as (connection, send):
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        async with connection.cursor("content_row_hashes", binary=True) as cursor:
            await cursor.execute(_with(_ROW_HASHES, send))
            while rows := await cursor.fetchmany(_HASHES_AT_ONCE):
                yield rows


async def row_images(endpoint: Endpoint, keys: Sequence[str]) -> list[bytes | None]:
    """Return for each of *keys* what its row's hash is made of, None where there is no row."""
    async with _reading(endpoint) as (connection, send):
        cursor = await connection.execute(_with(_ROW_IMAGES, send), {"keys": list(keys)}, binary=True)
        found: dict[str, bytes] = {key: bytes(image) for key, image in await cursor.fetchall()}
    return [found.get(key) for key in keys]


async def sample_keys(endpoint: Endpoint, count: int) -> list[str]:
    """Return the keys of up to *count* rows, spread by a hash of their keys."""
    async with _reading(endpoint) as (connection, _):
        cursor = await connection.execute(_SAMPLE, {"count": count})
        return [row[0] for row in await cursor.fetchall()]


@asynccontextmanager
async def _reading(endpoint: Endpoint) -> AsyncGenerator[tuple[AsyncConnection[Any], str]]:
    """Lend a connection of its own, and the name of the function that sends the engine's vectors."""
    with faults_translated(endpoint.server):
        connection = await connect_dedicated(endpoint.conninfo)
        try:
            await connection.execute("SET statement_timeout = 0")
            cursor = await connection.execute(_SEND, [endpoint.engine.vector_type])
            row = await cursor.fetchone()
            yield connection, "vector_send" if row is None else row[0]
        finally:
            await connection.close()


def _with(template: str, send: str) -> LiteralString:
    # The catalogue's own name, quoted by regproc where it needs quotes.
    return filled(template, {"send": send})
