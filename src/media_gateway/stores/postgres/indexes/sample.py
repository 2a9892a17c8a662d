"""How fast this server builds: a short build over some of the collection's own rows, which leaves nothing behind."""

import time
from collections.abc import Sequence
from typing import Any, Final

from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.index_definitions import IndexDefinition
from media_gateway.stores.postgres.indexes.catalogue import IndexState, TableState, known_rate
from media_gateway.stores.postgres.indexes.estimate import MEASURED_RATE, BuildRate

_ROWS: Final = 4_000
"""About a second's work, and enough that a search within the graph is no scan of it."""
_WORKER_SHARE: Final = 0.85
"""What another process is taken to add to the speed of a build: a little less than one, for what they share."""
_FEWEST: Final = 500


async def build_rate(
    connection: AsyncConnection[Any],
    engine: Engine,
    definition: IndexDefinition,
    *,
    table: TableState,
    indexes: Sequence[IndexState],
    cores: int | None,
) -> BuildRate:
    """Return how fast the server builds: by its last build on record, else by a short one, else by `MEASURED_RATE`.

    Two *cores* are taken where nobody knows how many there are.
    """
    known = known_rate(indexes)
    if known is not None:
        return known
    workers = max(0, (cores or 2) - 1)
    return await sampled_rate(connection, engine, table, definition, workers=workers) or MEASURED_RATE


async def sampled_rate(
    connection: AsyncConnection[Any], engine: Engine, table: TableState, definition: IndexDefinition, *, workers: int
) -> BuildRate | None:
    """Return how fast *definition* is built over up to 4,000 rows of the collection, None where it has fewer than 500.

    They are copied into a table of this session alone, which one process builds; that *workers* more help is reckoned.
    """
    if table.rows < _FEWEST:
        return None
    share = min(100.0, 100.0 * 3 * _ROWS / table.rows)
    async with connection.transaction(force_rollback=True):
        await connection.execute(
            "CREATE TEMPORARY TABLE content_vectors_sample AS SELECT vector FROM content_vectors WITH NO DATA"
        )
        await connection.execute(
            "INSERT INTO content_vectors_sample SELECT vector FROM content_vectors TABLESAMPLE SYSTEM (%s) LIMIT %s",
            [share, _ROWS],
        )
        # Under this name it hides the collection's own table from the statement that makes the index.
        await connection.execute("ALTER TABLE content_vectors_sample RENAME TO content_vectors")
        cursor = await connection.execute("SELECT count(*) FROM pg_temp.content_vectors")
        row = await cursor.fetchone()
        rows = row[0] if row is not None else 0
        if rows < _FEWEST:
            return None
        await connection.execute("SELECT set_config('maintenance_work_mem', '256MB', true)")
        began = time.monotonic()
        await connection.execute(definition.statement(engine, table.dimension, name="content_vectors_sample_idx"))
        seconds = (time.monotonic() - began) / (1 + _WORKER_SHARE * workers)
    return BuildRate(
        rows=rows,
        dimension=table.dimension,
        definition=definition,
        seconds=seconds,
        source=f"a build over {rows:,} rows of this collection",
    )
