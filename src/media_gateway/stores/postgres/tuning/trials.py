"""Other indexes, built on a sample of the records in a temporary table, and what they need to reach the target."""

import math
import time
from dataclasses import dataclass, replace
from typing import Final, LiteralString

from media_gateway.database.engine import Engine
from media_gateway.database.statements import filled
from media_gateway.models import IndexTrial
from media_gateway.stores.postgres.tuning.bench import Bench, Measure, smallest
from media_gateway.stores.postgres.tuning.knobs import LARGEST_EF, candidates
from media_gateway.stores.postgres.tuning.truth import exact_answers

_SAMPLE: Final = 20_000
_WIDTHS: Final = (10, 12, 16, 20, 24, 32, 48, 64, 100, 160, 250, 400, 640, LARGEST_EF)
_TABLE: Final = """
CREATE TEMPORARY TABLE content_trial AS
SELECT id, vector, metadata FROM content_vectors TABLESAMPLE SYSTEM ({{percent}})
"""
_INDEX: Final = (
    "CREATE INDEX content_trial_idx ON content_trial USING {{method}} ({{expression}}) "
    "WITH (m = {{m}}, ef_construction = {{ef_construction}})"
)
_HALVED: Final = "(l2_normalize(vector)::halfvec({{dimension}})) halfvec_cosine_ops"
_SEARCH: Final = """
SELECT id, 1 - distance AS score, metadata
FROM (
    SELECT id, metadata, vector <=> %(vector)s AS distance
    FROM content_trial
    WHERE (SELECT set_config('{{setting}}', '{{width}}', true)) IS NOT NULL
    ORDER BY {{order}}
    LIMIT {{fetch}}
) AS near
ORDER BY distance + 0
LIMIT {{limit}}
"""
_HALVED_ORDER: Final = (
    "l2_normalize(vector)::halfvec({{dimension}}) <=> l2_normalize(%(vector)s)::halfvec({{dimension}})"
)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An index to try."""

    kind: str
    m: int
    ef_construction: int


CANDIDATES: Final = (
    Candidate(kind="vector", m=16, ef_construction=64),
    Candidate(kind="vector", m=24, ef_construction=128),
    Candidate(kind="halfvec", m=16, ef_construction=64),
    Candidate(kind="halfvec", m=24, ef_construction=128),
)
"""The first is what a collection is made with, and what the others are compared to."""


class IndexTrials:
    """Tries indexes of *engine* on vectors of *dimension* for the queries, k and target of *bench*."""

    def __init__(self, engine: Engine, dimension: int, bench: Bench) -> None:
        self._engine = engine
        self._dimension = dimension
        self._bench = bench
        self._rows = bench.truth.rows

    async def run(self) -> list[IndexTrial]:
        """Return a trial of each candidate; nothing is left behind. The sample's indexes are built by one process."""
        connection = self._bench.connection
        percent = min(100.0, 100.0 * _SAMPLE / max(self._rows, 1))
        await connection.execute(filled(_TABLE, {"percent": f"{percent:.6f}"}))
        try:
            await connection.execute("ANALYZE content_trial")
            truth = await exact_answers(
                connection, self._bench.queries, [1.0], self._bench.truth.k, table="content_trial"
            )
            bench = replace(self._bench, truth=truth)
            return [
                await self._tried(candidate, bench)
                for candidate in CANDIDATES
                if candidate.kind == "vector" or self._engine.has_halfvec
            ]
        finally:
            await connection.execute("DROP TABLE IF EXISTS content_trial")

    async def _tried(self, candidate: Candidate, bench: Bench) -> IndexTrial:
        began = time.monotonic()
        await bench.connection.execute(self._definition(candidate))
        seconds = time.monotonic() - began
        try:

            async def at(width: int) -> Measure:
                return await bench.measured(self._search(candidate, width, bench.truth.k))

            await at(_WIDTHS[-1])
            widths = tuple(width for width in _WIDTHS if width >= bench.truth.k) or (LARGEST_EF,)
            width, measure, is_reached = await smallest(widths, bench.target, at)
            cursor = await bench.connection.execute("SELECT pg_relation_size('content_trial_idx')")
            (size,) = await cursor.fetchone() or (0,)
        finally:
            await bench.connection.execute("DROP INDEX IF EXISTS content_trial_idx")
        sampled = max(bench.truth.rows, 3)
        growth = self._rows / sampled
        return IndexTrial(
            kind=candidate.kind,
            m=candidate.m,
            ef_construction=candidate.ef_construction,
            rows=bench.truth.rows,
            ef_search=width if is_reached else None,
            recall=measure.recall,
            p50_ms=measure.p50_ms,
            build_seconds=seconds,
            index_bytes=size,
            # A graph of n nodes is searched in steps that grow with the logarithm of n, once for each node.
            whole_build_seconds=seconds * growth * math.log(max(self._rows, 3)) / math.log(sampled),
            whole_index_bytes=round(size * growth),
        )

    def _definition(self, candidate: Candidate) -> LiteralString:
        is_halved = candidate.kind == "halfvec"
        plain = f"vector {self._engine.cosine_ops}"
        return filled(
            _INDEX,
            {
                "method": self._engine.access_method,
                "expression": filled(_HALVED, {"dimension": str(self._dimension)}) if is_halved else plain,
                "m": str(candidate.m),
                "ef_construction": str(candidate.ef_construction),
            },
        )

    def _search(self, candidate: Candidate, width: int, k: int) -> LiteralString:
        is_halved = candidate.kind == "halfvec"
        halved = filled(_HALVED_ORDER, {"dimension": str(self._dimension)})
        return filled(
            _SEARCH,
            {
                "setting": self._engine.ef_search,
                "width": str(width),
                "order": halved if is_halved else "vector <=> %(vector)s",
                "fetch": str(candidates(k, is_halved=is_halved)),
                "limit": str(k),
            },
        )
