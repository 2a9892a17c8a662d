"""Bringing the index that searches walk into memory, so that the first of them are as quick as the rest.

A search that finds none of the index in memory reads hundreds of pages from all over it.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from media_gateway.database.faults import faults_translated
from media_gateway.database.index_definitions import INDEX_NAMES
from media_gateway.database.pool import Endpoint
from media_gateway.database.schema import connect_dedicated
from media_gateway.database.vectors import register_vectors
from media_gateway.models import Prewarmed, SearchRequest, SearchResult
from media_gateway.stores.postgres.indexes.catalogue import read_indexes
from media_gateway.stores.postgres.situation import IndexChoice

_PAGE: Final = 8192
_BUFFER_SHARE: Final = 0.8
"""Share of shared_buffers that is filled; what else is read there needs some of it."""
_SEARCHES: Final = 200
_SIZES: Final = """
SELECT pg_size_bytes(current_setting('shared_buffers')), pg_size_bytes(current_setting('effective_cache_size')),
    pg_relation_size('content_vectors'), coalesce(pg_relation_size(to_regclass(%s)), 0)
"""
_WARM: Final = "SELECT pg_prewarm(%s::regclass, %s, 'main', %s::bigint, %s::bigint)"
_SAMPLE: Final = """
SELECT vector FROM content_vectors TABLESAMPLE SYSTEM (
    (SELECT least(100, greatest(0.01, 300 * %(wanted)s::float8 / greatest(1, reltuples))) FROM pg_class
     WHERE oid = 'content_vectors'::regclass)
) LIMIT %(wanted)s
"""
_NOT_HERE: Final = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.UndefinedFile,
    psycopg.errors.UndefinedFunction,
)

Search = Callable[[SearchRequest], Awaitable[SearchResult]]


async def prewarm(endpoint: Endpoint, choice: IndexChoice, search: Search) -> Prewarmed:
    """Read the index that searches walk under *choice*, and rows as far as memory reaches, on a connection of its own.

    By pg_prewarm, which is created where it is missing and the role may; where it cannot be had, by *search* for some
    of the collection's own vectors. An index goes into shared_buffers where it fits, else into the system's cache; so
    do rows, up to effective_cache_size together. Nobody waits for it.
    """
    began = time.monotonic()
    with faults_translated(endpoint.server):
        connection = await connect_dedicated(endpoint.conninfo)
        try:
            index = await _index_in_use(connection, endpoint, choice)
            try:
                await _create_extension(connection)
                size = await _read_pages(connection, index)
                return Prewarmed(bytes=size, seconds=time.monotonic() - began, how="pg_prewarm" if size else "nothing")
            except _NOT_HERE:
                vectors = await _some_vectors(connection, endpoint)
        finally:
            await connection.close()
    for vector in vectors:
        await search(SearchRequest(vector=vector))
    return Prewarmed(bytes=0, seconds=time.monotonic() - began, how="searches" if vectors else "nothing")


async def _index_in_use(connection: AsyncConnection[Any], endpoint: Endpoint, choice: IndexChoice) -> str | None:
    valid = {index.name for index in await read_indexes(connection, endpoint.engine) if index.is_valid}
    wanted = [INDEX_NAMES["halfvec"], INDEX_NAMES["vector"]]
    if choice == "vector":
        wanted.reverse()
    return next((name for name in wanted if name in valid), None)


async def _create_extension(connection: AsyncConnection[Any]) -> None:
    cursor = await connection.execute("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_prewarm')")
    row = await cursor.fetchone()
    if row is None or not row[0]:
        try:
            await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
        except (psycopg.errors.UniqueViolation, psycopg.errors.DuplicateObject):
            # Another process made it at the same moment.
            return


async def _read_pages(connection: AsyncConnection[Any], index: str | None) -> int:
    """Read the *index*, then rows, as far as memory reaches, and return how many bytes."""
    cursor = await connection.execute(_SIZES, [index])
    row = await cursor.fetchone()
    buffers, cache, table_bytes, index_bytes = row if row is not None else (0, 0, 0, 0)
    room = int(buffers * _BUFFER_SHARE)
    read = 0
    if index is not None and index_bytes:
        fits = index_bytes <= room
        read += await _warm(connection, index, "buffer" if fits else "read", 0, index_bytes)
        room -= index_bytes if fits else 0
    within_buffers = min(table_bytes, room)
    within_cache = min(table_bytes, max(0, cache - index_bytes))
    read += await _warm(connection, "content_vectors", "buffer", 0, within_buffers)
    return read + await _warm(connection, "content_vectors", "read", within_buffers, within_cache)


async def _warm(connection: AsyncConnection[Any], relation: str, mode: str, start: int, end: int) -> int:
    """Read the whole pages of *relation* from byte *start* to *end*, and return how many bytes that was."""
    first, last = start // _PAGE, end // _PAGE - 1
    if last < first:
        return 0
    cursor = await connection.execute(_WARM, [relation, mode, first, last])
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0]) * _PAGE


async def _some_vectors(connection: AsyncConnection[Any], endpoint: Endpoint) -> list[Any]:
    await register_vectors(connection, endpoint.engine)
    cursor = await connection.execute(_SAMPLE, {"wanted": _SEARCHES}, binary=True)
    return [row[0] for row in await cursor.fetchall()]
