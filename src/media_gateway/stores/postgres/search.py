"""Nearest-neighbour search in PostgreSQL: the index, an exact scan, or a statement that counts and then decides."""

import time
from typing import Final, LiteralString

from media_gateway.database.pool import Pool, Row
from media_gateway.database.statements import filled
from media_gateway.models import Hit, SearchRequest, SearchResult
from media_gateway.stores.postgres.planner import Plan, Planner
from media_gateway.stores.postgres.queries import Queries
from media_gateway.stores.postgres.where import Where, where_clause

SMALL: Final = 1_000
"""Rows up to which a search scans them all: as quick as the index there, and exact."""
_SMALL_CHECK_SECONDS: Final = 30.0
_LARGEST_EF: Final = 1_000
"""The largest `hnsw.ef_search` that pgvector takes."""


class NearestSearch:
    """Answers checked requests; *ef_search* is the width of an index search that the sessions are set to."""

    def __init__(self, pool: Pool, queries: Queries, *, ef_search: int, always_exact: bool) -> None:
        self._pool = pool
        self._queries = queries
        self._ef_search = ef_search
        self._always_exact = always_exact
        self._planner = Planner(lambda: pool.fetch(queries.statistics))
        self._small_until = 0.0
        self._is_small = False

    async def find(self, request: SearchRequest) -> SearchResult:
        """Return the records nearest to the request's vector, never fewer than k where k pass its filter."""
        where = where_clause(request.where, tuple(request.exclude))
        plan = await self.plan(request, where)
        if plan.way == "count":
            rows = await self._counted(request, where, plan)
            is_exact = not rows or rows[0][3] <= plan.turn
        elif plan.way == "index":
            rows = await self._fetch(self._queries.search_index, request, where)
            is_exact = False
        else:
            return _result(await self._scanned(request, where), request, exact=True)
        if len(rows) < request.k and not is_exact:
            return _result(await self._scanned(request, where), request, exact=True)
        return _result(rows, request, exact=is_exact)

    async def plan(self, request: SearchRequest, where: Where) -> Plan:
        """Return the way that *request* goes."""
        if request.exact or self._always_exact:
            return Plan(way="scan", reason="an exact answer was asked for", turn=0)
        if await self._small():
            return Plan(way="scan", reason=f"the table has at most {SMALL:,} rows", turn=SMALL)
        if request.where is None:
            return Plan(way="index", reason="there is no filter", turn=0)
        return await self._planner.plan(request.where, where.identity)

    def forget_size(self) -> None:
        """Look at the table's size again before the next search."""
        self._small_until = 0.0

    async def _scanned(self, request: SearchRequest, where: Where) -> list[Row]:
        return await self._fetch(self._queries.search_exact, request, where)

    async def _counted(self, request: SearchRequest, where: Where, plan: Plan) -> list[Row]:
        rows = await self._fetch(self._queries.search_counted, request, where, turn=plan.turn)
        self._planner.learn(where.identity, rows[0][3] if rows else 0)
        return rows

    async def _fetch(self, statement: LiteralString, request: SearchRequest, where: Where, turn: int = 0) -> list[Row]:
        text = filled(statement, {"where": where.clause, "limit": str(int(request.k)), "turn": str(int(turn))})
        local = None
        if request.k > self._ef_search // 2 and statement is not self._queries.search_exact:
            # The index returns what it has seen: to find k well it must look at more than k.
            width = min(max(2 * request.k, self._ef_search), _LARGEST_EF)
            local = {self._pool.endpoint.engine.ef_search: str(width)} if width > self._ef_search else None
        # A filter's best plan depends on its values, so only statements without one are prepared.
        return await self._pool.fetch(
            text, {"vector": request.vector, **where.values}, local=local, prepare=not where.text
        )

    async def _small(self) -> bool:
        if time.monotonic() >= self._small_until:
            ((count,),) = await self._pool.fetch(self._queries.count_up_to, {"limit": SMALL + 1})
            self._is_small = count <= SMALL
            self._small_until = time.monotonic() + _SMALL_CHECK_SECONDS
        return self._is_small


def _result(rows: list[Row], request: SearchRequest, *, exact: bool) -> SearchResult:
    lowest = request.min_score
    hits = [
        Hit(key=row[0], score=min(1.0, max(-1.0, row[1])), metadata=row[2])
        for row in rows
        if lowest is None or row[1] > lowest
    ]
    # By code point, as the table's collation orders keys.
    hits.sort(key=lambda hit: (-hit.score, hit.key))
    return SearchResult(hits=hits, exact=exact, exhausted=len(hits) < request.k)
