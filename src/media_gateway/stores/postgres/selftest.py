"""The engine's self-test: a few hundred known vectors, indexed search against the exact answer.

Extensions that call themselves compatible have been seen to return no rows, rows twice and rows in the wrong order.
Each check here has a name; the first that fails refuses the engine for indexed search.
"""

from collections.abc import Iterable
from typing import Any, Final, LiteralString

import numpy as np
from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.statements import filled
from media_gateway.database.vectors import register_vectors
from media_gateway.errors import EngineRefusedError, ExtensionMissingError
from media_gateway.models import Matrix, Vector

ROWS: Final = 400
DIMENSION: Final = 32
_K: Final = 10
_LEAST_RECALL: Final = 0.9
_SEED: Final = 20_240_607
_TABLE: Final = """
CREATE TEMPORARY TABLE engine_selftest (id integer PRIMARY KEY, vector {{vector_type}}(32) NOT NULL, even boolean NOT NULL);
CREATE INDEX engine_selftest_idx ON engine_selftest USING {{access_method}} (vector {{cosine_ops}});
"""
_INSERT: Final = "INSERT INTO engine_selftest (id, vector, even) VALUES (%s, %s, %s)"
_NEAREST: Final = "SELECT id, vector <=> %s FROM engine_selftest ORDER BY vector <=> %s LIMIT %s"
_NEAREST_EVEN: Final = "SELECT id, vector <=> %s FROM engine_selftest WHERE even ORDER BY vector <=> %s LIMIT %s"


class EngineSelfTest:
    """The test on one connection: `build` a scratch table, then `run` the checks. The table ends with the session."""

    def __init__(self, connection: AsyncConnection[Any], engine: Engine) -> None:
        self._connection = connection
        self._engine = engine
        generator = np.random.default_rng(_SEED)
        self._rows: Matrix = generator.standard_normal((ROWS, DIMENSION)).astype(np.float32)
        self._queries: Matrix = generator.standard_normal((20, DIMENSION)).astype(np.float32)
        self._alive = np.ones(ROWS, dtype=bool)

    async def build(self) -> None:
        """Make the scratch table with its index and fill it row by row, as a serving table grows."""
        if not await register_vectors(self._connection, self._engine):
            raise ExtensionMissingError(
                f"this database has no type {self._engine.vector_type!r}; create the extension {self._engine.name}",
                extension=self._engine.name,
            )
        names = {
            "vector_type": self._engine.vector_type,
            "access_method": self._engine.access_method,
            "cosine_ops": self._engine.cosine_ops,
        }
        await self._connection.execute(filled(_TABLE, names))
        await self.fill(range(ROWS))

    async def fill(self, numbers: Iterable[int]) -> None:
        """Insert the known vectors of *numbers*, each in a statement of its own."""
        cursor = self._connection.cursor()
        await cursor.executemany(_INSERT, [(number, self._rows[number], number % 2 == 0) for number in numbers])

    async def run(self) -> None:
        """Compare indexed answers with exact ones; raises EngineRefusedError naming the first check that fails."""
        async with self._connection.transaction():
            await self._connection.execute("SET LOCAL enable_seqscan = off")
            await self._check_plan()
            await self._check_answers("search")
            await self._check_limit()
            await self._check_filter()
            await self._connection.execute("DELETE FROM engine_selftest WHERE id < 100")
            self._alive[:100] = False
            await self._check_answers("delete")
            self._rows[100:200] = -self._rows[100:200]
            cursor = self._connection.cursor()
            await cursor.executemany(
                "UPDATE engine_selftest SET vector = %s WHERE id = %s",
                [(self._rows[number], number) for number in range(100, 200)],
            )
            await self._check_answers("update")

    async def _check_plan(self) -> None:
        query = self._queries[0]
        cursor = await self._connection.execute(f"EXPLAIN {_NEAREST}", [query, query, _K])
        plan = "\n".join(row[0] for row in await cursor.fetchall())
        if "engine_selftest_idx" not in plan:
            raise self._refused("index use", "the planner does not use the index for ORDER BY distance LIMIT k")

    async def _check_answers(self, check: str) -> None:
        found = 0
        for query in self._queries:
            rows = await self._nearest(_NEAREST, query, _K)
            self._check_rows(check, rows, query, self._alive)
            found += len(_exact(self._rows, query, self._alive, _K) & {row[0] for row in rows})
        recall = found / (_K * len(self._queries))
        if recall < _LEAST_RECALL:
            raise self._refused(check, f"recall@{_K} is {recall:.2f}, below {_LEAST_RECALL}")

    def _check_rows(self, check: str, rows: list[Any], query: Vector, alive: "np.ndarray[Any, Any]") -> None:
        ids = [row[0] for row in rows]
        if len(ids) < _K:
            raise self._refused(check, f"{len(ids)} rows came back where {_K} were asked for")
        if len(set(ids)) != len(ids):
            raise self._refused(check, "a row came back twice")
        if not all(alive[ids]):
            raise self._refused(check, "a deleted or excluded row came back")
        distances = [row[1] for row in rows]
        if distances != sorted(distances):
            raise self._refused(check, "rows came back in the wrong order")
        if np.abs(np.array(distances) - _distances(self._rows[ids], query)).max() > 1e-5:  # noqa: PLR2004
            raise self._refused(check, "a distance differs from the one computed here")

    async def _check_limit(self) -> None:
        for limit in (1, 3, 40):
            rows = await self._nearest(_NEAREST, self._queries[1], limit)
            if len(rows) != limit:
                raise self._refused("limit", f"{len(rows)} rows came back for LIMIT {limit}")

    async def _check_filter(self) -> None:
        if self._engine.iterative_scan is not None:
            await self._connection.execute("SELECT set_config(%s, 'strict_order', true)", [self._engine.iterative_scan])
        even = np.arange(ROWS) % 2 == 0
        for query in self._queries:
            self._check_rows("filter", await self._nearest(_NEAREST_EVEN, query, _K), query, self._alive & even)

    async def _nearest(self, statement: LiteralString, query: Vector, limit: int) -> list[Any]:
        cursor = await self._connection.execute(statement, [query, query, limit])
        return await cursor.fetchall()

    def _refused(self, check: str, finding: str) -> EngineRefusedError:
        return EngineRefusedError(
            f"the engine {self._engine.name} failed its self-test at {check!r}: {finding}; it must not serve indexed "
            "searches: set RUVECTOR_EXACT=true for exact ones, or use pgvector (RUVECTOR_ENGINE=vector)",
            engine=self._engine.name,
            check=check,
        )


def _distances(rows: Matrix, query: Vector) -> "np.ndarray[Any, np.dtype[np.float64]]":
    wide = rows.astype(np.float64)
    return 1 - wide @ query / (np.linalg.norm(wide, axis=1) * np.linalg.norm(query))


def _exact(rows: Matrix, query: Vector, alive: "np.ndarray[Any, Any]", k: int) -> set[int]:
    distances = np.where(alive, _distances(rows, query), np.inf)
    return {int(number) for number in np.argsort(distances)[:k]}
