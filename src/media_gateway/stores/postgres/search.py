"""Nearest-neighbour search in PostgreSQL: the index, an exact scan, or a statement that counts and then decides."""

import re
import time
from dataclasses import replace
from typing import Any, Final, LiteralString

from media_gateway.database.direct import DirectStatement, encode_vector
from media_gateway.database.pool import Pool, Row
from media_gateway.database.where import Where, where_clause
from media_gateway.models import Explanation, Hit, SearchRequest, SearchResult
from media_gateway.stores.postgres.nearest import EVERYTHING, NearestStatements, explained
from media_gateway.stores.postgres.planner import Far, Plan, Planner
from media_gateway.stores.postgres.queries import queries_for
from media_gateway.stores.postgres.situation import SMALL, IndexChoice, Situation, SituationReader
from media_gateway.stores.postgres.steering import Answer, Steering

_VECTOR: Final = re.compile(r"'\[[^\]']*\]'::")
"""A vector as the server writes it into a plan: thousands of letters that tell nothing."""
_MADE_UP: Final = ", so a scan made up for it"


class NearestSearch:
    """Answers checked requests; *session_ef* is the width of an index search that the sessions are set to.

    *dimension* is that of the vectors, *index_choice* the index that is wanted, *recall_target* what walks must reach that
    are learned.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        dimension: int,
        session_ef: int,
        always_exact: bool = False,
        index_choice: IndexChoice = "auto",
        recall_target: float = 0.95,
    ) -> None:
        engine = pool.endpoint.engine
        self._pool = pool
        self._always_exact = always_exact
        self._statements = NearestStatements(engine, dimension, session_ef)
        self._reader = SituationReader(pool, queries_for(engine), index_choice)
        self._planner = Planner()
        self._steering = Steering(pool, self._statements, dimension, recall_target)
        self._ready: dict[int, tuple[Plan, DirectStatement]] = {}
        self._ready_for = self._reader.current

    async def find(self, request: SearchRequest) -> SearchResult:
        """Return the records nearest to the request's vector, never fewer than k where k pass its filter."""
        if request.where is None and not request.exclude and not request.exact:
            plan, rows = await self._unfiltered(request)
            if plan.way == "scan" or len(rows) >= request.k:
                return _result(rows, request, exact=plan.way == "scan")
        rows, is_exact, _ = await self._run(request, where_clause(request.where, tuple(request.exclude)))
        return _result(rows, request, exact=is_exact)

    async def plan(
        self, request: SearchRequest, where: Where, *, k: int | None = None, steered: int | None = None
    ) -> Plan:
        """Return the way that *request* goes, for *k* records where that is not what it asks for.

        Where a walk fails, one that is *steered* may follow and yield so many rows.
        """
        if request.exact or self._always_exact:
            return Plan(way="scan", reason="an exact answer was asked for", turn=0)
        situation = await self.situation()
        if situation.is_small:
            return Plan(way="scan", reason=f"the table has at most {SMALL:,} rows", turn=SMALL)
        wanted = k or request.k
        if request.where is None:
            return self._planner.unfiltered(situation, wanted, len(request.exclude))
        return self._planner.filtered(situation, request.where, where.identity, wanted, steered)

    def remember(self, plan: Plan, where: Where, number: int) -> None:
        """Have later searches of *where* go by the *number* of rows that pass, which the statement of *plan* told."""
        self._planner.experiences.passed(where.identity, number, is_sampled=plan.sampled is not None)

    def statement(self, plan: Plan, where: Where, limit: int) -> LiteralString:
        """Return the SQL that finds the best *limit* rows of *where* by *plan*; see `NearestStatements.text`."""
        return self._statements.text(plan, where, limit)

    async def explain(self, request: SearchRequest) -> Explanation:
        """Run the search of *request* and then its statement once more under EXPLAIN; see `contracts.Explains`."""
        where = where_clause(request.where, tuple(request.exclude))
        await self.situation()
        began = time.perf_counter()
        rows, is_exact, plan = await self._run(request, where)
        milliseconds = (time.perf_counter() - began) * 1000
        statement = self._statements.text(plan, where, request.k)
        values = _values(plan, where, request)
        lines = await self._pool.fetch(explained(statement), values, prepare=False)
        return Explanation(
            backend="postgres",
            way=plan.way,
            reason=plan.reason,
            exact=is_exact,
            hits=len(_result(rows, request, exact=is_exact).hits),
            milliseconds=milliseconds,
            rows=plan.rows,
            turn=plan.turn or None,
            index=None if plan.index is None else plan.index.name,
            ef_search=plan.ef_search or None,
            candidates=plan.fetch or None,
            statement=statement,
            plan=[_VECTOR.sub("'[...]'::", str(line[0])) for line in lines],
        )

    async def situation(self) -> Situation:
        """Return what is known of the table, a minute old at most."""
        if time.monotonic() < self._reader.fresh_until:
            return self._reader.current
        return await self._reader.refresh()

    def forget_size(self) -> None:
        """Look at the table's size, indexes and profile again before the next search."""
        self._reader.forget()

    async def _unfiltered(self, request: SearchRequest) -> tuple[Plan, list[Row]]:
        """Return the plan and the rows of a search among all; its statement is composed once for as long as nothing changes."""
        situation = await self.situation()
        if situation is not self._ready_for:
            self._ready, self._ready_for = {}, situation
        ready = self._ready.get(request.k)
        if ready is None:
            plan = await self.plan(SearchRequest(k=request.k), EVERYTHING)
            ready = self._ready[request.k] = (plan, self._statements.direct(plan, request.k))
        plan, statement = ready
        if self._pool.endpoint.transaction_pooler or request.vector is None:
            return plan, await self._fetch(plan, EVERYTHING, request)
        return plan, await self._pool.fetch_direct(statement, [encode_vector(request.vector)])

    async def _run(self, request: SearchRequest, where: Where) -> tuple[list[Row], bool, Plan]:
        """Return the rows that answer *request*, whether they are exact, and the plan that came to them."""
        compass = self._steering.compass(where, request.k)
        plan = await self.plan(request, where, steered=None if compass is None else compass.walk)
        if plan.way == "scan" and plan.far is not None:
            return await self._beyond(plan, plan.far, request, where)
        rows = await self._fetch(plan, where, request)
        if plan.way == "scan":
            return rows, True, plan
        if plan.way == "count":
            count = rows[0][3] if rows else 0
            self.remember(plan, where, count)
            if count <= plan.turn:
                return rows, True, plan
        is_filled = len(rows) >= request.k and (plan.walk is None or rows[0][-1] >= plan.fetch)
        if plan.walk is not None:
            self._planner.experiences.walked(where.identity, is_filled=is_filled)
        return (rows, False, plan) if is_filled else await self._made_up(plan, request, where)

    async def _made_up(self, plan: Plan, request: SearchRequest, where: Where) -> tuple[list[Row], bool, Plan]:
        """Answer what the index left short: by the index that is there now, else by a scan."""
        if plan.index is not None and plan.index.is_halved:
            situation = await self._reader.refresh()
            if situation.index is not None and situation.index != plan.index:
                return await self._run(request, where)
        reason = f"{plan.reason}; but the index came to too few rows that pass{_MADE_UP}"
        scan = Plan(way="scan", reason=reason, turn=plan.turn, rows=plan.rows)
        return await self._beyond(scan, plan.far, request, where)

    async def _beyond(
        self, scan: Plan, far: Far | None, request: SearchRequest, where: Where
    ) -> tuple[list[Row], bool, Plan]:
        """Answer what walks from the query do not find: by one towards what passes, where that is known to do, else by *scan*."""
        compass = self._steering.compass(where, request.k)
        walk = None if compass is None else compass.choose()
        if compass is not None and far is not None and request.vector is not None and walk is not None:
            short = replace(scan, reason=scan.reason.removesuffix(_MADE_UP))
            steered = far.steered(short, walk, compass.start(request.vector))
            rows = await self._fetch(steered, where, request)
            if len(rows) >= request.k:
                return rows, False, steered
        began = time.perf_counter()
        rows = await self._fetch(scan, where, request)
        seconds = time.perf_counter() - began
        if request.where is not None and len(rows) < request.k:
            # Only then is their number known; another query may well find what this one did not come to.
            self._planner.experiences.passed(where.identity, len(rows))
        elif far is not None and request.vector is not None:
            answer = Answer(plan=scan, vector=request.vector, rows=rows, seconds=seconds)
            await self._steering.learn(answer, where, far)
        return rows, True, scan

    async def _fetch(self, plan: Plan, where: Where, request: SearchRequest) -> list[Row]:
        # A filter's best plan depends on its values, so only statements without one are prepared.
        statement = self._statements.text(plan, where, request.k)
        return await self._pool.fetch(statement, _values(plan, where, request), prepare=not where.text)


def _values(plan: Plan, where: Where, request: SearchRequest) -> dict[str, Any]:
    values: dict[str, Any] = {"vector": request.vector, **where.values}
    return values if plan.start is None else {**values, "start": plan.start}


def _result(rows: list[Row], request: SearchRequest, *, exact: bool) -> SearchResult:
    lowest = -3.0 if request.min_score is None else request.min_score
    # By code point, as the table's collation orders keys.
    found = sorted([(-min(1.0, max(-1.0, row[1])), row[0], row[2]) for row in rows if row[1] > lowest])
    hits = [Hit(key=key, score=-negative, metadata=metadata) for negative, key, metadata in found]
    return SearchResult(hits=hits, exact=exact, exhausted=len(hits) < request.k)
