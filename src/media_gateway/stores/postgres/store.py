"""The PostgreSQL store: records in `content_vectors`, nearest neighbours by its HNSW index."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from psycopg import AsyncConnection

from media_gateway.contracts import OnStage
from media_gateway.database.metadata_fields import FieldType, MetadataField
from media_gateway.database.pool import Endpoint, Pool, Row
from media_gateway.errors import UnsupportedError
from media_gateway.models import (
    ChangedKeys,
    ChangePosition,
    CollectionDigest,
    ContentVector,
    Explanation,
    HybridWeights,
    Merged,
    Prewarmed,
    RowHash,
    SearchRequest,
    SearchResult,
    StoreStats,
    TuningEntry,
    TuningReport,
    VectorSpace,
)
from media_gateway.stores.postgres import digests
from media_gateway.stores.postgres.bulk import bulk_load
from media_gateway.stores.postgres.changes import ChangeLog
from media_gateway.stores.postgres.fitness import Fitness, read_fitness
from media_gateway.stores.postgres.hybrid import HybridSearch
from media_gateway.stores.postgres.indexes import BuildResources, FieldIndex, index_field
from media_gateway.stores.postgres.merging import merge
from media_gateway.stores.postgres.prewarm import prewarm
from media_gateway.stores.postgres.queries import queries_for
from media_gateway.stores.postgres.search import NearestSearch
from media_gateway.stores.postgres.situation import IndexChoice
from media_gateway.stores.postgres.tuning import audit
from media_gateway.stores.postgres.tuning.tuner import Tuner, Wanted
from media_gateway.stores.postgres.writes import ROWS_A_STATEMENT, Write, Writes
from media_gateway.validation import checked_items, checked_keys, checked_page, checked_request, encoded_metadata


class PostgresStore:
    """A `VectorStore` on PostgreSQL; made by `open_postgres_store`.

    *ef_search* is the session's width of the index search. With *always_exact* every search scans all that passes. Ways that are
    learned as the store is used reach *recall_target*.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        space: VectorSpace,
        ef_search: int,
        always_exact: bool = False,
        index_choice: IndexChoice = "auto",
        weights: HybridWeights | None = None,
        resources: BuildResources | None = None,
        recall_target: float = 0.95,
    ) -> None:
        self._pool = pool
        self._space = space
        self._ef_search = ef_search
        self._queries = queries_for(pool.endpoint.engine)
        self._search = NearestSearch(
            pool,
            dimension=space.dimension,
            session_ef=ef_search,
            always_exact=always_exact,
            index_choice=index_choice,
            recall_target=recall_target,
        )
        self._hybrid = HybridSearch(pool, self._search, weights=weights or HybridWeights(), always_exact=always_exact)
        self._writes = Writes(pool)
        self._changes = ChangeLog(pool)
        self._index_choice: IndexChoice = index_choice
        self._resources = resources

    @property
    def space(self) -> VectorSpace:
        """The model and dimension of every vector in here."""
        return self._space

    @property
    def endpoint(self) -> Endpoint:
        """Where the server is."""
        return self._pool.endpoint

    def pool_measures(self) -> dict[str, int]:
        """Return the counters of the pool of connections, at once; see `Pool.measures`."""
        return self._pool.measures()

    def serving_connection(self) -> AbstractAsyncContextManager[AsyncConnection[Row]]:
        """Lend one of the pool's connections, for statements of one's own on the same server."""
        return self._pool.connection()

    async def upsert(self, items: Sequence[ContentVector]) -> None:
        """Write *items*, replacing records of the same keys; all of them or, on any error, none.

        Raises what `checked_items` raises before anything is sent, and OutcomeUnknownError when the connection was
        lost while committing and repeating the write could undo a later one.
        """
        checked = sorted(checked_items(items, self._space.dimension), key=lambda item: item.key)
        batches = [
            _columns(checked[start : start + ROWS_A_STATEMENT]) for start in range(0, len(checked), ROWS_A_STATEMENT)
        ]
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

        await self._writes.run([item.key for item in checked], run, is_repeatable=True)

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove the records of *keys* and return how many of them existed."""
        given = checked_keys(keys)

        async def run(connection: AsyncConnection[Row], write: Write) -> int:
            write.may_be_committed = True
            cursor = await connection.execute(self._queries.delete, {"keys": given})
            return cursor.rowcount

        # Repeated after a lost commit it would count nothing, so an unknown outcome is told.
        return await self._writes.run(given, run, is_repeatable=False) if given else 0

    async def get(self, keys: Sequence[str]) -> list[ContentVector | None]:
        """Return the records of *keys* in that order, None where there is none."""
        given = checked_keys(keys)
        rows = await self._pool.fetch(self._queries.get, {"keys": given}) if given else []
        found = {row[0]: _record(row) for row in rows}
        return [found.get(key) for key in given]

    async def search(self, request: SearchRequest) -> SearchResult:
        """Return the records nearest to the request's vector by cosine similarity, best first.

        A text alone finds what holds its words; with a vector both rankings are fused. Small collections are scanned, so their answers are exact. Where the index comes back with fewer than k rows
        the answer is computed by a scan instead.
        """
        request = checked_request(request, self._space.dimension)
        if request.text is not None:
            return await self._hybrid.find(request)
        return await self._search.find(request)

    async def explain(self, request: SearchRequest) -> Explanation:
        """Search as *request* asks, and return how: the plan and why, the index, the server's own plan of the statement.

        The statement is run once more for that. Raises UnsupportedError for a request with a text.
        """
        request = checked_request(request, self._space.dimension)
        if request.text is not None:
            raise UnsupportedError(
                "only searches by meaning can be explained, without keywords", feature="explain", store="postgres"
            )
        return await self._search.explain(request)

    async def tune(
        self,
        *,
        target: float = 0.95,
        sample: int = 500,
        k: int = 10,
        apply: bool = True,
        try_indexes: bool = False,
    ) -> TuningReport:
        """Measure recall on this collection and choose the quickest searches that reach *target*; see `contracts.Tunes`.

        Runs on a connection of its own, without a time limit: one pass over the table, then some thousand searches.
        Raises UnsupportedError where every search is a scan, InvalidRequestError for a *target*, *sample* or *k* out of
        bounds.
        """
        return await self.tune_as(Wanted(target=target, sample=sample, k=k, apply=apply, try_indexes=try_indexes))

    async def tune_as(self, wanted: Wanted) -> TuningReport:
        """Do what `tune` does, within the bounds and for the occasion of *wanted*."""
        self._search.forget_size()
        report = await Tuner(self.endpoint, self._space, await self._search.situation()).tune(wanted)
        self._search.forget_size()
        return report

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
                "ef_search": (await self._search.situation()).knobs.ef_search,
                "pool": self._pool.measures(),
            },
        )

    async def bulk_load(
        self, batches: AsyncIterator[Sequence[ContentVector]], *, on_stage: OnStage | None = None
    ) -> int:
        """Write the records of all *batches*, or none, by COPY, and return how many.

        An existing key raises DuplicateKeyError. Into an empty table the index is built after the rows are there, of
        which *on_stage* hears; searches wait meanwhile.
        """
        chosen = None if self._index_choice == "auto" else self._index_choice
        count = await bulk_load(
            self.endpoint, self._space, batches, index=chosen, resources=self._resources, on_stage=on_stage
        )
        self._search.forget_size()
        return count

    async def merge(self, batches: AsyncIterator[Sequence[ContentVector]], *, overwrite: bool) -> Merged:
        """Write the records of all *batches*, or none; a key that is there is replaced with *overwrite*, else left."""
        merged = await merge(self.endpoint, self._space, batches, overwrite=overwrite)
        self._search.forget_size()
        return merged

    async def digest(self) -> CollectionDigest:
        """Return count and sum of the hashes of all records, computed by the server, as they are at one moment."""
        return await digests.digest(self.endpoint)

    def row_hashes(self) -> AsyncIterator[list[RowHash]]:
        """Yield key and hash of every record in the order of the keys, as they are at one moment."""
        return digests.row_hashes(self.endpoint)

    async def row_images(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return for each of *keys* the bytes that its record's hash is made of, None where there is no record."""
        return await digests.row_images(self.endpoint, checked_keys(keys))

    async def sample_keys(self, count: int) -> list[str]:
        """Return the keys of up to *count* records, spread evenly."""
        return await digests.sample_keys(self.endpoint, count)

    async def change_position(self) -> ChangePosition:
        """Return the place in the change log behind everything that is decided now.

        Raises UnsupportedError where triggers keep no log, as on a distributed table.
        """
        return await self._changes.position()

    async def changes(self, since: ChangePosition, *, limit: int = 1000, beyond: bool = False) -> ChangedKeys:
        """Return the keys of at most *limit* changes from *since* on; see `contracts.Changes`."""
        return await self._changes.read(since, limit=limit, beyond=beyond)

    async def prewarm(self) -> Prewarmed:
        """Bring the index that searches walk into the server's memory, and rows as far as they fit.

        By pg_prewarm where the server has it, else by searches of its own. Searches go on meanwhile.
        """
        return await prewarm(self.endpoint, self._index_choice, self.search)

    async def index_field(self, name: str, kind: FieldType) -> FieldIndex:
        """Have an index on the entry *name* of metadata, of numbers or of text, so that ranges over it read what they pass.

        It is built while searches and writes go on; one that is there is kept. Raises what `indexes.index_field` raises,
        and InvalidRequestError for a name of over 200 bytes.
        """
        built = await index_field(self.endpoint, MetadataField(name=name, type=kind))
        self._search.forget_size()
        return built.index

    async def tuning_history(self, limit: int) -> list[TuningEntry]:
        """Return the last *limit* tunings on record, the latest first; none where the role may not read them."""
        async with self._pool.connection() as connection:
            return await audit.latest(connection, limit)

    async def fitness(self) -> Fitness:
        """Return whether schema, index and pool are what serving needs; raises SchemaError for an edited or newer schema."""
        return await read_fitness(self._pool, self._queries)

    async def aclose(self) -> None:
        """Close the pool; closing twice does no harm."""
        await self._pool.aclose()


def _columns(items: Sequence[ContentVector]) -> dict[str, list[Any]]:
    return {
        "ids": [item.key for item in items],
        "vectors": [item.vector for item in items],
        "metadata": [encoded_metadata(item).decode() for item in items],
    }


def _record(row: Row) -> ContentVector:
    return ContentVector(key=row[0], vector=row[1], metadata=row[2])
