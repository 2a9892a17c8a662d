"""Whether a PostgreSQL store is fit to serve: what may change under it while it is open."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from media_gateway.database.faults import translated
from media_gateway.database.pool import Pool
from media_gateway.database.schema import schema_state
from media_gateway.stores.postgres.queries import Queries
from media_gateway.stores.postgres.situation import SMALL

_PATIENCE: Final = 5.0
_STARTED: Final = "SELECT pg_postmaster_start_time()"


@dataclass(frozen=True, kw_only=True)
class Fitness:
    """The schema and the index as they are now.

    *pending* are the migrations that are still to come. *index* is the vector index that searches can walk, None where
    there is no valid one; *needs_index* is whether the collection is too large to be scanned each time. *started* is
    when the server began. *pool* are the pool's counters.
    """

    pending: list[str]
    index: str | None
    needs_index: bool
    started: datetime
    pool: Mapping[str, int]


async def read_fitness(pool: Pool, queries: Queries) -> Fitness:
    """Read it through one of the pool's connections; raises SchemaError for an edited or newer schema."""
    try:
        async with pool.connection(patience=_PATIENCE) as connection:
            state = await schema_state(connection)
            (started,) = await _row(await connection.execute(_STARTED))
            least, indexes, _ = await _row(await connection.execute(queries.situation, {"limit": SMALL + 1}))
    except psycopg.Error as error:
        raise translated(error, pool.endpoint.server) from error
    return Fitness(
        pending=[f"{migration.version} ({migration.name})" for migration in state.pending],
        index=indexes[0][0] if indexes else None,
        needs_index=least > SMALL,
        started=started,
        pool=pool.measures(),
    )


async def _row(cursor: psycopg.AsyncCursor[Any]) -> tuple[Any, ...]:
    row = await cursor.fetchone()
    return row or ()
