"""The table of logged searches: written in batches, read by tuning and learning, forgotten by age, number and user."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection

from media_gateway.database.faults import faults_translated
from media_gateway.errors import InvalidFilterError
from media_gateway.filter_json import condition_from_json, condition_to_json
from media_gateway.models import LoggedSearch, VectorSpace
from media_gateway.validation import checked_key

MOST_KEYS: Final = 100
"""Keys of an answer that are kept: the first ones, since a search may ask for 10,000."""
_DELETED_AT_ONCE: Final = 1_000
"""Rows of one DELETE: a few milliseconds, so that it never stands in anybody's way."""
_MOST_DELETES: Final = 100

_COPY: Final = """
COPY vector_search_logs (logged_at, kind, model, query_vector, query_text, filter_json, k, exact, result_keys, user_id,
    latency_ms, store) FROM STDIN (FORMAT binary)
"""
_TYPES: Final = (
    "timestamptz",
    "text",
    "text",
    None,
    "text",
    "jsonb",
    "int4",
    "bool",
    "text[]",
    "text",
    "float4",
    "text",
)
_RECENT: Final = """
SELECT logged_at, kind, query_vector, query_text, filter_json, k, exact, result_keys, user_id, latency_ms
FROM vector_search_logs
WHERE model = %(model)s AND vector_dims(query_vector) = %(dimension)s
ORDER BY id DESC LIMIT %(limit)s
"""
_SURPLUS: Final = "SELECT id FROM vector_search_logs ORDER BY id DESC OFFSET %s LIMIT 1"
# Rows that another process is deleting are left to it.
_DELETE_SURPLUS: Final = """
DELETE FROM vector_search_logs WHERE id IN (
    SELECT id FROM vector_search_logs WHERE id <= %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
)
"""
_DELETE_OLD: Final = """
DELETE FROM vector_search_logs WHERE id IN (
    SELECT id FROM vector_search_logs WHERE logged_at < now() - make_interval(days => %s)
    ORDER BY logged_at LIMIT %s FOR UPDATE SKIP LOCKED
)
"""
_DELETE_USER: Final = "DELETE FROM vector_search_logs WHERE user_id = %s"


class SearchLogTable:
    """Reads and writes `vector_search_logs` on connections that *lend* gives; messages call it *server*.

    Searches are of vectors of *space*; *store* names what answered them. Every method raises StoreUnavailableError,
    SchemaError and what else `faults_translated` gives when the database cannot be reached, lacks the table, or does
    not allow it.
    """

    def __init__(
        self,
        lend: Callable[[], AbstractAsyncContextManager[AsyncConnection[Any]]],
        *,
        server: str,
        space: VectorSpace,
        vector_type: str,
        store: str = "postgres",
    ) -> None:
        self._lend = lend
        self._server = server
        self._space = space
        self._types = [vector_type if name is None else name for name in _TYPES]
        self._store = store

    def row(self, search: LoggedSearch) -> tuple[Any, ...]:
        """Return *search* as `write` takes it: at most the first 100 keys.

        Raises InvalidKeyError for a user that is not 1 to 512 bytes of text, and InvalidFilterError for a condition of
        an unknown class.
        """
        return (
            search.at,
            search.kind,
            self._space.model,
            search.vector,
            search.text,
            None if search.where is None else condition_to_json(search.where),
            search.k,
            search.exact,
            list(search.keys[:MOST_KEYS]),
            None if search.user is None else checked_key(search.user, name="user"),
            search.latency_ms,
            self._store,
        )

    async def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write *rows*, which `row` made, all or none."""
        with faults_translated(self._server):
            async with self._lend() as connection, connection.cursor().copy(_COPY) as copy:
                copy.set_types(self._types)
                for row in rows:
                    await copy.write_row(row)

    async def tidy(self, *, days: int, most_rows: int) -> int:
        """Delete what is older than *days*, and the oldest beyond *most_rows*; return how many were deleted.

        At most 200,000 at a time, a thousand a statement.
        """
        with faults_translated(self._server):
            async with self._lend() as connection:
                deleted = await _delete_in_batches(connection, _DELETE_OLD, days)
                cursor = await connection.execute(_SURPLUS, [most_rows])
                surplus = await cursor.fetchone()
                if surplus is not None:
                    deleted += await _delete_in_batches(connection, _DELETE_SURPLUS, surplus[0])
                return deleted

    async def recent_queries(self, limit: int) -> list[LoggedSearch]:
        """Return the latest *limit* searches by vectors of this space, newest first.

        One whose filter cannot be understood, since a newer program wrote it, is left out.
        """
        values = {"model": self._space.model, "dimension": self._space.dimension, "limit": limit}
        with faults_translated(self._server):
            async with self._lend() as connection:
                cursor = await connection.execute(_RECENT, values, binary=True)
                rows = await cursor.fetchall()
        found = [_logged(row) for row in rows]
        return [search for search in found if search is not None]

    async def count(self) -> int:
        """Return how many searches are kept."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                cursor = await connection.execute("SELECT count(*) FROM vector_search_logs")
                row = await cursor.fetchone()
        return 0 if row is None else row[0]

    async def forget(self, user: str) -> int:
        """Delete every search of *user* and return how many there were; InvalidKeyError for no possible user."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                return await forget_searches(connection, checked_key(user, name="user"))


async def forget_searches(connection: AsyncConnection[Any], user: str) -> int:
    """Delete every search of *user* within the caller's transaction, and return how many there were."""
    return (await connection.execute(_DELETE_USER, [user])).rowcount


async def _delete_in_batches(connection: AsyncConnection[Any], statement: LiteralString, bound: int) -> int:
    deleted = 0
    for _ in range(_MOST_DELETES):
        cursor = await connection.execute(statement, [bound, _DELETED_AT_ONCE])
        deleted += cursor.rowcount
        if cursor.rowcount < _DELETED_AT_ONCE:
            break
    return deleted


def _logged(row: Sequence[Any]) -> LoggedSearch | None:
    at, kind, vector, text, filter_json, k, exact, keys, user, latency_ms = row
    try:
        where = None if filter_json is None else condition_from_json(filter_json)
    except InvalidFilterError:
        return None
    return LoggedSearch(
        at=at,
        kind=kind,
        vector=vector,
        k=k,
        where=where,
        keys=keys,
        exact=exact,
        latency_ms=latency_ms,
        text=text,
        user=user,
    )
