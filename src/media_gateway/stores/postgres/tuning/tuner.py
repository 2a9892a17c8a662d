"""Tuning a collection: the narrowest searches that reach the recall wanted, measured on the collection itself."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, LiteralString

import numpy as np
import psycopg
from psycopg import AsyncConnection

from media_gateway.database.faults import faults_translated, translated
from media_gateway.database.pool import Endpoint, set_config
from media_gateway.database.schema import connect_dedicated
from media_gateway.database.vectors import register_vectors
from media_gateway.errors import InvalidRequestError, UnsupportedError
from media_gateway.models import MAX_K, IndexTrial, TunedClass, TuningEntry, TuningReport, VectorSpace
from media_gateway.stores.postgres.nearest import NearestStatements
from media_gateway.stores.postgres.planner import Planner
from media_gateway.stores.postgres.situation import SMALL, Situation
from media_gateway.stores.postgres.tuning import advice, audit, profiles
from media_gateway.stores.postgres.tuning.bench import Bench, Measure, smallest
from media_gateway.stores.postgres.tuning.knobs import LARGEST_EF, UNTUNED, SearchKnobs
from media_gateway.stores.postgres.tuning.occasions import ASKED, Occasion
from media_gateway.stores.postgres.tuning.queries import sample_queries
from media_gateway.stores.postgres.tuning.rebuilding import rebuild_reason
from media_gateway.stores.postgres.tuning.trials import IndexTrials
from media_gateway.stores.postgres.tuning.truth import drawn, exact_answers

WIDTHS: Final = (
    10,
    12,
    14,
    16,
    18,
    20,
    24,
    28,
    32,
    40,
    48,
    56,
    64,
    80,
    100,
    128,
    160,
    200,
    250,
    320,
    400,
    500,
    640,
    800,
    LARGEST_EF,
)
_FACTORS: Final = (1.0, 1.1, 1.25, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)
_SHARES: Final = (0.3, 0.1, 0.03, 0.01, 0.003)
"""Shares of rows that the measured filters pass, as far as the index is the way for them."""
_SCANNED: Final = 2_000
"""Rows compared to learn what one costs."""
_RATIOS: Final = (1.0, 40.0)
"""What a row of the index may cost in rows compared; beyond that something else was measured."""
_FEWEST_QUERIES: Final = 20


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The recall at *k* to reach with *sample* queries, and what to do with the findings.

    The width without a filter stays between *least_width* and *largest_width*. *occasion* says what it is for, and
    *sampled_recall* what *samples* real searches had before, None where nobody sampled; both go to the audit.
    """

    target: float
    sample: int
    k: int
    apply: bool
    try_indexes: bool
    least_width: int = 1
    largest_width: int = LARGEST_EF
    occasion: Occasion = ASKED
    sampled_recall: float | None = None
    samples: int = 0

    def __post_init__(self) -> None:
        _check("target", self.target, 0 < self.target <= 1, "above 0 and at most 1")
        _check("sample", self.sample, self.sample >= _FEWEST_QUERIES, f"{_FEWEST_QUERIES} or more")
        _check("k", self.k, 1 <= self.k <= MAX_K, f"a whole number from 1 to {MAX_K:,}")


def _check(field: str, given: float, is_right: bool, expected: str) -> None:  # noqa: FBT001
    if not is_right:
        raise InvalidRequestError(
            f"{field} is {given!r}; expected {expected}", field=field, given=given, expected=expected
        )


class Tuner:
    """Measures the collection of *space* at *endpoint*, as *situation* describes it, on a connection of its own."""

    def __init__(self, endpoint: Endpoint, space: VectorSpace, situation: Situation) -> None:
        self._endpoint = endpoint
        self._space = space
        self._situation = situation
        # No session setting is relied on: each measured statement carries its own.
        self._statements = NearestStatements(endpoint.engine, space.dimension, 0)

    async def tune(self, wanted: Wanted) -> TuningReport:
        """Return what was measured, recorded with the collection where that is wanted.

        Raises UnsupportedError for a collection whose searches are always scans: a small one, or one without an index.
        """
        index = self._situation.index
        if self._situation.is_small or index is None:
            reason = (
                f"the collection has at most {SMALL:,} records, which searches always compare with"
                if self._situation.is_small
                else self._situation.no_index
            )
            raise UnsupportedError(f"there is nothing to tune: {reason}", feature="tuning", store="postgres")
        began = time.monotonic()
        with faults_translated(self._endpoint.server):
            connection = await connect_dedicated(self._endpoint.conninfo)
        try:
            await self._prepare(connection)
            report, knobs = await self._measured(connection, wanted)
            report = replace(report, seconds=time.monotonic() - began, applied=wanted.apply)
            if wanted.apply:
                await connection.execute(profiles.INSERT, profiles.row_of(report, knobs, index.kind))
                await audit.note(connection, await self._entry(connection, report, wanted))
        except psycopg.Error as error:
            raise translated(error, self._endpoint.server) from error
        else:
            return report
        finally:
            await connection.close()

    async def _prepare(self, connection: AsyncConnection[Any]) -> None:
        await register_vectors(connection, self._endpoint.engine)
        session = {name: value for name, value in self._endpoint.session.items() if name != "statement_timeout"}
        if session:
            await connection.execute(*set_config(session, is_local=False))

    async def _measured(self, connection: AsyncConnection[Any], wanted: Wanted) -> tuple[TuningReport, SearchKnobs]:
        rows = await _counted(connection)
        # The estimate may be old; what is measured goes by the truth.
        self._situation = replace(self._situation, statistics=replace(self._situation.statistics, rows=rows))
        queries = await sample_queries(connection, self._space, rows, wanted.sample)
        shares = self._shares(rows, wanted.k)
        truth = await exact_answers(connection, queries.vectors, [1.0, *shares], wanted.k)
        bench = Bench(connection=connection, queries=queries.vectors, truth=truth, target=wanted.target)
        classes = [await self._unfiltered(bench, wanted)]
        for share in shares:
            classes.append(await self._filtered(bench, classes[0].ef_search, share))
        knobs = profiles.knobs_of(classes, await _walk_ratio(bench, classes), wanted.k)
        trials: Sequence[IndexTrial] = ()
        if wanted.try_indexes:
            trials = await IndexTrials(self._endpoint.engine, self._space.dimension, bench).run()
        found = await advice.index_facts(connection, self._index_name)
        report = TuningReport(
            index=self._index_name,
            rows=truth.rows,
            k=wanted.k,
            target=wanted.target,
            sample=len(queries.vectors),
            queries_from=queries.source,
            classes=classes,
            turn=knobs.turn(truth.rows, wanted.k, is_indexed=True),
            advice=advice.sentences(classes, found, trials, wanted.target),
            trials=trials,
            seconds=0.0,
            applied=False,
        )
        return report, knobs

    async def _entry(self, connection: AsyncConnection[Any], report: TuningReport, wanted: Wanted) -> TuningEntry:
        """Return what the audit gets of *report*, with what tells for building the index anew."""
        rebuild = await rebuild_reason(connection, self._endpoint.engine, report.index, wanted.target)
        return TuningEntry(
            process=audit.this_process(),
            trigger=wanted.occasion.trigger,
            action="tuned",
            reason=wanted.occasion.reason,
            target=wanted.target,
            recall_sampled=wanted.sampled_recall,
            samples=wanted.samples,
            table_rows=report.rows,
            ef_before=self._situation.knobs.ef_search,
            ef_after=report.ef_search,
            recall_after=report.classes[0].recall,
            advice=[*report.advice, *([] if rebuild is None else [f"build the index anew: {rebuild}"])],
            seconds=report.seconds,
        )

    @property
    def _index_name(self) -> str:
        return "" if self._situation.index is None else self._situation.index.name

    def _shares(self, rows: int, k: int) -> list[float]:
        """Return the shares that filters are measured at: down to where a scan is the way."""
        turn = min(0.3, UNTUNED.turn(rows, k, is_indexed=True) / rows)
        return [*(share for share in _SHARES if share > turn * 1.2), turn]

    def _text(self, knobs: SearchKnobs, share: float, k: int, width: int | None = None) -> LiteralString:
        """Return the very statement that searches run, with the settings of *knobs*."""
        situation = replace(self._situation, knobs=knobs)
        planner = Planner()
        where = drawn(share)
        if share >= 1:
            plan = planner.unfiltered(situation, k)
            if width is not None:
                plan = replace(plan, ef_search=width)
        else:
            rows = situation.statistics.rows or SMALL
            plan = planner.evenly(situation, share, rows, k)
        return self._statements.text(plan, where, k)

    async def _unfiltered(self, bench: Bench, wanted: Wanted) -> TunedClass:
        k = bench.truth.k

        async def at(width: int) -> Measure:
            return await bench.measured(self._text(replace(UNTUNED, ef_search=width), 1.0, k, width))

        least = max(k, wanted.least_width)  # the index returns no more rows than its search is wide
        widths = tuple(width for width in WIDTHS if least <= width <= wanted.largest_width) or (wanted.largest_width,)
        await at(widths[-1])  # the pages of index and table come into memory
        width, measure, is_reached = await smallest(widths, bench.target, at)
        return _class(1.0, width, 1.0, measure, reached=is_reached)

    async def _filtered(self, bench: Bench, width: int, share: float) -> TunedClass:
        where = drawn(share)

        async def at(factor: float) -> Measure:
            knobs = replace(UNTUNED, ef_search=width, factors=((0.0, factor),))
            return await bench.measured(self._text(knobs, share, bench.truth.k), where.values, share)

        factor, measure, is_reached = await smallest(_FACTORS, bench.target, at)
        return _class(share, width, factor, measure, reached=is_reached)


async def _counted(connection: AsyncConnection[Any]) -> int:
    cursor = await connection.execute("SELECT count(*) FROM content_vectors")
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])


async def _walk_ratio(bench: Bench, classes: Sequence[TunedClass]) -> float:
    """Return how many rows can be compared while the index yields one, both measured here."""
    rarest = min(classes[1:], key=lambda one: one.share)
    walked = rarest.factor * bench.truth.k / rarest.share
    compared = await _milliseconds_a_row(bench)
    if compared is None:
        return UNTUNED.walk_ratio
    return float(np.clip(rarest.p50_ms / walked / compared, *_RATIOS))


_PLACES: LiteralString = "SELECT ctid::text FROM content_vectors TABLESAMPLE SYSTEM (%s) LIMIT %s"
_COMPARED: LiteralString = """
SELECT id, 1 - (vector <=> %(vector)s) AS score, metadata
FROM content_vectors WHERE ctid = ANY(%(places)s::text[]::tid[])
ORDER BY (vector <=> %(vector)s) + 0, id LIMIT 10
"""


async def _milliseconds_a_row(bench: Bench) -> float | None:
    """Return what it costs to compare one row of a filter's, rows that lie strewn over the table; None if too few do."""
    percent = min(100.0, 100.0 * 6 * _SCANNED / max(bench.truth.rows, 1))
    cursor = await bench.connection.execute(_PLACES, [percent, 6 * _SCANNED])
    places = [row[0] for row in await cursor.fetchall()]
    if len(places) < _SCANNED / 2:
        return None
    chosen = [places[place] for place in np.random.default_rng(0).permutation(len(places))[:_SCANNED]]
    times: list[float] = []
    for query in bench.queries[:9]:
        began = time.perf_counter()
        cursor = await bench.connection.execute(_COMPARED, {"vector": query, "places": chosen}, binary=True)
        await cursor.fetchall()
        times.append((time.perf_counter() - began) * 1000)
    return float(np.median(times)) / len(chosen)


def _class(share: float, width: int, factor: float, measure: Measure, *, reached: bool) -> TunedClass:
    return TunedClass(
        share=share,
        ef_search=width,
        factor=factor,
        recall=measure.recall,
        recall_low=measure.low,
        recall_high=measure.high,
        p50_ms=measure.p50_ms,
        reached=reached,
    )
