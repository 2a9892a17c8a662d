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
        plan's turn; and last, where more candidates than *limit* may be fetched, how many there were. Beside the values of *where* it takes `vector`.
        """
        settings = self._settings(plan)
        is_halved = plan.index is not None and plan.index.is_halved
        if plan.way == "index" and not settings and not is_halved and plan.fetch == limit:
            return _filled(self._queries.search_nearest, where=where.clause, limit=limit)
        if plan.way == "scan":
            return _filled(self._queries.search_exact, where=where.clause, limit=limit)
        conditions = [*settings, *([_for_index(where.text)] if where.text else [])]
        order = self._queries.index_order
        if is_halved:
            # The settings come first: conditions without columns are checked once, in their order.
            conditions.append(_filled(self._queries.index_there, index=HALFVEC_INDEX))
            order = _filled(self._queries.halfvec_order, dimension=self._dimension)
        return _filled(
            self._queries.search_index if plan.way == "index" else self._queries.search_counted,
            where=f"WHERE {' AND '.join(conditions)}" if plan.way == "index" else where.clause,
            index_where=f"WHERE {' AND '.join(conditions)}",
            order=order,
            fetch=max(plan.fetch, limit),
            limit=limit,
            turn=plan.turn,
        )

    def direct(self, plan: Plan, limit: int) -> DirectStatement:
        """Return `text` without a condition for libpq itself: its one parameter is the vector."""
        text = self.text(plan, EVERYTHING, limit).replace("%(vector)s", f"$1::{self._engine.vector_type}")
        return DirectStatement(
            text=text.replace("%%", "%").encode(), columns=(decode_text, decode_double, decode_jsonb)
        )

    def _settings(self, plan: Plan) -> list[str]:
        """Return conditions that hold, and set what differs from the session."""
        settings: dict[str, int] = {}
        if plan.ef_search != self._session_ef and plan.ef_search:
            settings[self._engine.ef_search] = plan.ef_search
        if plan.walk is not None and self._engine.walk_limit is not None:
            settings[self._engine.walk_limit] = plan.walk
        return [f"(SELECT set_config('{name}', '{value:d}', true)) IS NOT NULL" for name, value in settings.items()]


def _for_index(text: str) -> str:
    """Return the condition so that no other index can serve it: the server takes containment in jsonb for rare.

    It would find half of a table by it, and sort that.
    """
    return text.replace("(metadata @> ", "(metadata || '{}'::jsonb @> ")


@lru_cache(maxsize=4096)
def _filled(template: LiteralString, **values: str | int) -> LiteralString:
    return filled(template, {name: str(value) for name, value in values.items()})


def explained(statement: LiteralString) -> LiteralString:
    """Return the statement that runs *statement* and tells what the server did."""
    return trusted(f"EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF) {statement}")
