"""The SQL of one nearest-neighbour search, composed from a plan; equal plans give the very same text."""

from functools import lru_cache
from typing import Final, LiteralString

from media_gateway.database.direct import DirectStatement, decode_double, decode_jsonb, decode_text
from media_gateway.database.engine import Engine
from media_gateway.database.statements import filled, trusted
from media_gateway.database.where import Where
from media_gateway.stores.postgres.planner import Plan
from media_gateway.stores.postgres.queries import Queries, queries_for
from media_gateway.stores.postgres.situation import HALFVEC_INDEX

EVERYTHING: Final = Where(text="", values={})
"""No condition."""
_VISITED: Final = 50
"""Nodes that a walk may visit for one row that it yields; it visits ten to twenty. Beyond its own limit the extension
yields what it had set aside, in no good order."""
_ALWAYS_VISITED: Final = 20_000
"""What pgvector lets a walk visit unless it is told otherwise."""
_PASSING: Final = "(SELECT number FROM passing) > {{turn}}"
_SAMPLED: Final = 2_000
"""Rows that are looked at to learn how many pass: a twentieth is known to a tenth of it, in 3 ms."""


class NearestStatements:
    """Composes statements for *engine* and vectors of *dimension*, whose sessions search with *session_ef*."""

    def __init__(self, engine: Engine, dimension: int, session_ef: int) -> None:
        self._engine = engine
        self._queries: Queries = queries_for(engine)
        self._dimension = dimension
        self._session_ef = session_ef

    def text(self, plan: Plan, where: Where, limit: int) -> LiteralString:
        """Return the statement that finds the best *limit* rows of *where* by *plan*.

        Its columns are id, score and metadata; where the plan counts, the number that passes, which is exact up to the
        plan's turn or, of a sample, about right; and last, where more candidates than *limit* may be fetched, how many
        there were. Beside the values of *where* it takes `vector`, and `start`, if the plan has one.
        """
        if plan.way == "scan":
            return _filled(self._queries.search_exact, where=where.clause, limit=limit)
        if plan.way == "index":
            return self._by_index(plan, where, limit)
        return _filled(
            self._queries.search_counted,
            passing=self._passing(plan, where),
            where=where.clause,
            by_index=self._by_index(plan, where, limit, _filled(_PASSING, turn=plan.turn)),
            limit=limit,
            turn=plan.turn,
        )

    def direct(self, plan: Plan, limit: int) -> DirectStatement:
        """Return `text` without a condition for libpq itself: its one parameter is the vector."""
        text = self.text(plan, EVERYTHING, limit).replace("%(vector)s", f"$1::{self._engine.vector_type}")
        return DirectStatement(
            text=text.replace("%%", "%").encode(), columns=(decode_text, decode_double, decode_jsonb)
        )

    def places(self, plan: Plan, where: Where) -> LiteralString:
        """Return the statement that yields id and place, from 1, of what passes *where* on the walk of *plan*."""
        conditions, order = self._walked(plan)
        walk = plan.walk or 0
        return _filled(self._queries.walk_places, passes=where.text, where=_clause(conditions), order=order, walk=walk)

    def drawn(self, where: Where, percent: float, most: int) -> LiteralString:
        """Return the statement that yields the vectors of up to *most* rows of *where*, out of *percent* of the table."""
        return _filled(self._queries.drawn, where=where.clause, percent=f"{percent:.6f}", most=most)

    def _walked(self, plan: Plan, *also: str) -> tuple[list[str], LiteralString]:
        """Return the conditions of a walk by *plan*'s index, and its order."""
        # The settings come first: conditions without columns are checked once, in their order.
        conditions = [*self._settings(plan), *also]
        order = self._queries.index_order
        if plan.index is not None and plan.index.is_halved:
            conditions.append(_filled(self._queries.index_there, index=HALFVEC_INDEX))
            order = _filled(self._queries.halfvec_order, dimension=self._dimension)
        return conditions, order.replace("%(vector)s", "%(start)s") if plan.start is not None else order

    def _by_index(self, plan: Plan, where: Where, limit: int, *also: str) -> LiteralString:
        conditions, order = self._walked(plan, *also)
        if plan.walk is None and not conditions and plan.fetch == limit:
            return _filled(self._queries.search_nearest, where=where.clause, limit=limit)
        fetch = max(plan.fetch, limit)
        if plan.walk is not None and where.text:
            return _filled(
                self._queries.search_walk,
                passes=where.text,
                where=_clause(conditions),
                order=order,
                walk=max(plan.walk, fetch),
                fetch=fetch,
                limit=limit,
            )
        conditions += [where.text] if where.text else []
        return _filled(self._queries.search_index, where=_clause(conditions), order=order, fetch=fetch, limit=limit)

    def _passing(self, plan: Plan, where: Where) -> LiteralString:
        if plan.sampled is None:
            return _filled(self._queries.counted, where=where.clause, turn=plan.turn)
        percent = min(100.0, 100.0 * _SAMPLED / max(plan.sampled, 1))
        return _filled(
            self._queries.sampled,
            passes=where.text,
            rows=plan.sampled,
            percent=f"{percent:.6f}",
            most=2 * _SAMPLED,
        )

    def _settings(self, plan: Plan) -> list[str]:
        """Return conditions that hold, and set what differs from the session."""
        settings: dict[str, int] = {}
        if plan.ef_search != self._session_ef and plan.ef_search:
            settings[self._engine.ef_search] = plan.ef_search
        if plan.walk is not None and self._engine.walk_limit is not None and plan.walk * _VISITED > _ALWAYS_VISITED:
            settings[self._engine.walk_limit] = min(plan.walk * _VISITED, 2**31 - 1)
        return [f"(SELECT set_config('{name}', '{value:d}', true)) IS NOT NULL" for name, value in settings.items()]


def explained(statement: LiteralString) -> LiteralString:
    """Return the statement that runs *statement* and tells what the server did."""
    return trusted(f"EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF) {statement}")


def _clause(conditions: list[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


@lru_cache(maxsize=4096)
def _filled(template: LiteralString, **values: str | int) -> LiteralString:
    return filled(template, {name: str(value) for name, value in values.items()})
