"""The queries that tuning measures with: searches from the log, or made of records by `media_gateway.trial_queries`."""

from dataclasses import dataclass
from typing import Any, Final, LiteralString

import numpy as np
import psycopg
from psycopg import AsyncConnection

from media_gateway.database.statements import filled
from media_gateway.models import Matrix, QuerySource, Vector, VectorSpace
from media_gateway.trial_queries import NEIGHBOURS, REACH, distances_of, local_places, moved
from media_gateway.vector_math import units

_FEWEST_SEARCHES: Final = 50
"""Logged searches below this many say too little of what is searched for."""
_RECORDS: Final = "SELECT vector FROM content_vectors TABLESAMPLE SYSTEM ({{percent}}) LIMIT {{limit}}"
_NEAR: LiteralString = """
SELECT place, vector
FROM (
    SELECT vector, row_number() OVER () - 1 AS place
    FROM (SELECT vector FROM content_vectors ORDER BY vector <=> %(vector)s LIMIT %(limit)s) AS near
) AS placed
WHERE place = ANY(%(places)s::bigint[])
"""
_SEARCHES: LiteralString = """
SELECT query_vector FROM vector_search_logs
WHERE model = %(model)s AND kind <> 'similar' AND vector_dims(query_vector) = %(dimension)s
ORDER BY logged_at DESC
LIMIT %(limit)s
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Queries:
    """Unit vectors to search for, (n, d) float32, and where they are from."""

    vectors: Matrix
    source: QuerySource


async def sample_queries(connection: AsyncConnection[Any], space: VectorSpace, rows: int, count: int) -> Queries:
    """Return up to *count* queries for the collection of *space*, which has *rows* records."""
    logged = await _logged(connection, space, count)
    if len(logged) >= min(count, _FEWEST_SEARCHES):
        return Queries(vectors=units(logged), source="searches")
    found = await _records(connection, rows, count)
    generator = np.random.default_rng(len(found))
    origins = found[generator.permutation(len(found))[:count]]
    near = [await _neighbours(connection, origin, local_places(rows - 1, generator)) for origin in origins]
    reach, first, second = (np.array(column, dtype=np.float32) for column in zip(*near, strict=True))
    pairs = found[generator.integers(0, len(found), (2, len(origins)))]
    distances = distances_of((origins * reach).sum(axis=1))
    return Queries(vectors=moved(origins, distances, (first, second), (pairs[0], pairs[1])), source="records")


async def _logged(connection: AsyncConnection[Any], space: VectorSpace, count: int) -> Matrix:
    try:
        cursor = await connection.execute(
            _SEARCHES, {"model": space.model, "dimension": space.dimension, "limit": count}, binary=True
        )
        rows = await cursor.fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        rows = []
    return np.array([row[0] for row in rows], dtype=np.float32).reshape(len(rows), space.dimension)


async def _records(connection: AsyncConnection[Any], rows: int, count: int) -> Matrix:
    """Return unit vectors of up to *count* records from pages spread over the table."""
    # Twice as much as is needed, since pages hold a varying number of rows.
    for percent in (min(100.0, 200.0 * count / rows), 100.0):
        statement = filled(_RECORDS, {"percent": f"{percent:.6f}", "limit": str(2 * count)})
        cursor = await connection.execute(statement, binary=True)
        found = await cursor.fetchall()
        if len(found) >= min(count, rows):
            break
    return units(np.array([row[0] for row in found], dtype=np.float32))


async def _neighbours(
    connection: AsyncConnection[Any], origin: Vector, places: tuple[int, int]
) -> tuple[Vector, Vector, Vector]:
    """Return unit vectors near *origin*: of the record at the place `REACH`, and at *places*.

    The index may find fewer; then *origin* stands for what is not there, which makes an easier query.
    """
    wanted = [REACH, *places]
    # One more, since the nearest of all, at place 0, is the record itself.
    cursor = await connection.execute(_NEAR, {"vector": origin, "limit": NEIGHBOURS + 1, "places": wanted}, binary=True)
    near = {place: units([vector])[0] for place, vector in await cursor.fetchall()}
    reach, first, second = (near.get(place, origin) for place in wanted)
    return reach, first, second
