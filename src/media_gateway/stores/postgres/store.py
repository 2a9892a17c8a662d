"""The PostgreSQL store: records in `content_vectors`, nearest neighbours by its HNSW index."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection

from media_gateway.database.faults import is_connection_lost, translated
from media_gateway.database.pool import Endpoint, Pool, Row
from media_gateway.errors import OutcomeUnknownError, StoreUnavailableError, UnsupportedError
from media_gateway.models import ContentVector, SearchRequest, SearchResult, StoreStats, VectorSpace
from media_gateway.stores.postgres.bulk import bulk_load
from media_gateway.stores.postgres.queries import queries_for
from media_gateway.stores.postgres.search import NearestSearch
from media_gateway.stores.postgres.writes import IssuedWrites, Write
from media_gateway.validation import checked_items, checked_keys, checked_page, checked_request, encoded_metadata

_BATCH: Final = 500
"""Rows of one upsert statement, so that it ends well within the statement timeout with an index to keep."""
_CONFLICTS: Final = ("40001", "40P01")
_ATTEMPTS: Final = 3

_T = TypeVar("_T")


class PostgresStore:
    """A `VectorStore` on PostgreSQL; made by `open_postgres_store`.

    *ef_search* is the session's width of the index search. With *always_exact* every search scans all that passes.
    """

    def __init__(self, pool: Pool, *, space: VectorSpace, ef_search: int, always_exact: bool = False) -> None:
        self._pool = pool
        self._space = space
        self._ef_search = ef_search
        self._queries = queries_for(pool.endpoint.engine)
        self._search = NearestSearch(pool, self._queries, ef_search=ef_search, always_exact=always_exact)
        self._writes = IssuedWrites()

    @property
    def space(self) -> VectorSpace:
        """The model and dimension of every vector in here."""
        return self._space

    @property
    def endpoint(self) -> Endpoint:
        """Where the server is."""
        return self._pool.endpoint

    def serving_connection(self) -> AbstractAsyncContextManager[AsyncConnection[Row]]:
        """Lend one of the pool's connections, for statements of one's own on the same server."""
        return self._pool.connection()

    async def upsert(self, items: Sequence[ContentVector]) -> None:
        """Write *items*, replacing records of the same keys; all of them or, on any error, none.

        Raises what `checked_items` raises before anything is sent, and OutcomeUnknownError when the connection was
        lost while committing and repeating the write could undo a later one.
        """
        checked = sorted(checked_items(items, self._space.dimension), key=lambda item: item.key)
        batches = [_columns(checked[start : start + _BATCH]) for start in range(0, len(checked), _BATCH)]
        if not batches:
            return

        async def run(connection: AsyncConnection[Row], write: Write) -> None:
            if len(batches) == 1:
                write.may_be_committed = True
                await connection.execute(self._queries.upsert, batches[0], prepare=True)
                return
            await connection.execute("BEGIN")
            for batch in batches:
                await connection.execute(self._queries.upsert, batch, prepare=True)
            write.may_be_committed = True
            await connection.execute("COMMIT")

        await self._write([item.key for item in checked], run, is_repeatable=True)

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove the records of *keys* and return how many of them existed."""
        given = checked_keys(keys)

        async def run(connection: AsyncConnection[Row], write: Write) -> int:
            write.may_be_committed = True
            cursor = await connection.execute(self._queries.delete, {"keys": given})
            return cursor.rowcount

        # Repeated after a lost commit it would count nothing, so an unknown outcome is told.
        return await self._write(given, run, is_repeatable=False) if given else 0

    async def get(self, keys: Sequence[str]) -> list[ContentVector | None]:
        """Return the records of *keys* in that order, None where there is none."""
        given = checked_keys(keys)
        rows = await self._pool.fetch(self._queries.get, {"keys": given}) if given else []
        found = {row[0]: _record(row) for row in rows}
        return [found.get(key) for key in given]

    async def search(self, request: SearchRequest) -> SearchResult:
        """Return the records nearest to the request's vector by cosine similarity, best first.

        Small collections are scanned, so their answers are exact. Where the index comes back with fewer than k rows
        the answer is computed by a scan instead.
        """
        request = checked_request(request, self._space.dimension)
        if request.text is not None:
            raise UnsupportedError(
                "this store cannot search by text; give a vector alone", feature="text search", store="postgres"
            )
        return await self._search.find(request)

    async def scan(self, *, after: str | None = None, batch_size: int = 1000) -> AsyncIterator[list[ContentVector]]:
        """Yield all records in the order of their keys, in lists of at most *batch_size*."""
        checked_page(after, batch_size)
        last = after or ""
        while True:
            rows = await self._pool.fetch(self._queries.scan, {"after": last, "limit": batch_size})
            if rows:
                yield [_record(row) for row in rows]
                last = rows[-1][0]
            if len(rows) < batch_size:
                return

    async def stats(self) -> StoreStats:
        """Return count, dimension, model, sizes in bytes, and the index in use."""
        (row,) = await self._pool.fetch(self._queries.stats, local={"statement_timeout": "0"})
        count, table_bytes, index_bytes, model, dimension, indexes, server, extension = row
        return StoreStats(
            backend="postgres",
            count=count,
            dimension=dimension,
            model=model,
            table_bytes=table_bytes,
            index_bytes=index_bytes,
            index=indexes[0] if indexes else None,
            details={
                "server": self.endpoint.server,
                "postgres": server,
                "extension": f"{self.endpoint.engine.name} {extension}",
                "ef_search": self._ef_search,
                "pool": self._pool.measures(),
            },
        )

    async def bulk_load(self, batches: AsyncIterator[Sequence[ContentVector]]) -> int:
        """Write the records of all *batches*, or none, by COPY, and return how many.

        An existing key raises DuplicateKeyError. Into an empty table the index is built after the rows are there;
        searches wait meanwhile.
        """
        count = await bulk_load(self.endpoint, self._space, batches)
        self._search.forget_size()
        return count

    async def aclose(self) -> None:
        """Close the pool; closing twice does no harm."""
        await self._pool.aclose()

    async def _write(
        self,
        keys: Sequence[str],
        run: Callable[[AsyncConnection[Row], Write], Awaitable[_T]],
        *,
        is_repeatable: bool,
    ) -> _T:
        """Run a write once, again after a conflict, and again after a lost connection where that can undo nothing."""
        server = self.endpoint.server
        with self._writes.issued(keys) as write:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    async with self._pool.connection() as connection:
                        return await run(connection, write)
                except psycopg.Error as error:
                    if error.sqlstate in _CONFLICTS and attempt < _ATTEMPTS:
                        write.may_be_committed = False
                        continue
                    if not is_connection_lost(error):
                        raise translated(error, server) from error
                    if write.may_be_committed and not (is_repeatable and write.is_latest and attempt < _ATTEMPTS):
                        raise _unknown(server, keys) from error
                    if attempt == _ATTEMPTS:
                        raise translated(error, server) from error
                except StoreUnavailableError as error:
                    if write.may_be_committed:
                        raise _unknown(server, keys) from error
                    raise
        raise AssertionError("unreachable")


def _unknown(server: str, keys: Sequence[str]) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"the connection to {server} was lost while {len(keys)} records were being committed: they are written wholly "
        "or not at all; read them before writing again"
    )


def _columns(items: Sequence[ContentVector]) -> dict[str, list[Any]]:
    return {
        "ids": [item.key for item in items],
        "vectors": [item.vector for item in items],
        "metadata": [encoded_metadata(item).decode() for item in items],
    }


def _record(row: Row) -> ContentVector:
    return ContentVector(key=row[0], vector=row[1], metadata=row[2])
