"""Tuning that nobody asked for: watches the recall of real searches and the collection's growth, and acts within bounds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Literal, Protocol

from psycopg import AsyncConnection

from media_gateway.database.advisory import advisory_lock
from media_gateway.database.faults import faults_translated
from media_gateway.database.pool import Endpoint
from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import MediaGatewayError, UnsupportedError
from media_gateway.models import TuningEntry, TuningReport, VectorSpace
from media_gateway.stores.postgres.tuning import audit
from media_gateway.stores.postgres.tuning.occasions import FEWEST_SEARCHES, Occasion, Standing, occasion
from media_gateway.stores.postgres.tuning.tuner import Wanted

_log = logging.getLogger(__name__)

_LOCK: Final = 0x7365_6C66_7475_6E65  # "selftune"
_STATEMENT_SECONDS: Final = 5
_K: Final = 10
_READ: Final = """
SELECT now(),
    (SELECT nullif(reltuples, -1)::bigint FROM pg_class WHERE oid = to_regclass('content_vectors')),
    (SELECT count(*) FROM (
        SELECT FROM vector_search_logs
        WHERE model = %(model)s AND kind <> 'similar' AND vector_dims(query_vector) = %(dimension)s LIMIT %(most)s
    ) AS counted),
    profile.measured_at, profile.table_rows, profile.ef_search,
    (SELECT max(at) FROM content_tuning_audit),
    has_table_privilege('content_search_profiles', 'INSERT')
FROM (VALUES (1)) AS one (number)
LEFT JOIN (SELECT * FROM content_search_profiles ORDER BY id DESC LIMIT 1) AS profile ON true
"""


class SampledRecall(Protocol):
    """The recall of real searches, as it is sampled."""

    @property
    def recall(self) -> float | None:
        """The mean of the last samples, None before the first."""
        ...

    @property
    def interval(self) -> tuple[float, float]:
        """What the recall lies between for 95 percent sure."""
        ...

    @property
    def count(self) -> int:
        """Samples that the mean is of."""
        ...

    def forget(self) -> None:
        """Begin anew."""
        ...


@dataclass(frozen=True, kw_only=True)
class SelfTuningRules:
    """What is allowed: `advise` only tells in the audit that tuning is due, `on` tunes too.

    Widths stay between *least_width* and *largest_width*. Nothing is done within *pause* of the last tuning. There is a look
    every *seconds*; a tuning measures with *sample* queries.
    """

    mode: Literal["advise", "on"]
    target: float
    least_width: int
    largest_width: int
    pause: timedelta
    seconds: float = 60.0
    sample: int = 300


class SelfTuning:
    """Looks after the searches of one collection by *rules*, until it is closed; several processes take turns.

    *tune* measures and records, *sampled* is None where recall is not sampled. What fails is told in the log and in the
    audit, and disturbs nobody.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        space: VectorSpace,
        rules: SelfTuningRules,
        *,
        tune: Callable[[Wanted], Awaitable[TuningReport]],
        sampled: SampledRecall | None,
        is_busy: Callable[[], bool],
    ) -> None:
        self._endpoint = endpoint
        self._space = space
        self._rules = rules
        self._tune = tune
        self._sampled = sampled
        self._is_busy = is_busy
        self._seen: Any = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        # In a context of its own: it outlives whoever opens the gateway.
        self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def aclose(self) -> None:
        """Stop, in the middle of a tuning too, which then records nothing; closing twice does no harm."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def look(self) -> TuningEntry | None:
        """Do what is due now, if anything, and return the entry that the audit got.

        Raises StoreError when the server cannot be asked.
        """
        with faults_translated(self._endpoint.server):
            connection = await connect_dedicated(self._endpoint.conninfo)
            try:
                async with advisory_lock(connection, _LOCK) as is_ours:
                    return await self._look(connection) if is_ours else None
            finally:
                await connection.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._rules.seconds)
            try:
                await self.look()
            except MediaGatewayError as error:
                _log.info("searches are not looked after now: %s", error)
            except Exception:  # noqa: BLE001  the next look may succeed
                _log.exception("looking after the searches failed")

    async def _look(self, connection: AsyncConnection[Any]) -> TuningEntry | None:
        standing, width, may_record = await self._standing(connection)
        if standing.tuned_at != self._seen:
            # Samples of former searches say nothing about the present ones.
            if self._seen is not None and self._sampled is not None:
                self._sampled.forget()
                standing = replace(standing, recall=None, samples=0)
            self._seen = standing.tuned_at
        due = occasion(standing, pause=self._rules.pause)
        if due is None or self._is_busy():
            return None
        entry = TuningEntry(
            process=audit.this_process(),
            trigger=due.trigger,
            action="advised",
            reason=due.reason,
            target=standing.target,
            recall_sampled=standing.recall,
            samples=standing.samples,
            table_rows=standing.rows,
            ef_before=width,
        )
        if self._rules.mode == "on" and may_record:
            return await self._tuned(connection, entry, due)
        advice = "run media-gateway tune" if may_record else "run media-gateway tune as the role that owns the tables"
        return await self._noted(connection, replace(entry, advice=[advice]))

    async def _tuned(self, connection: AsyncConnection[Any], entry: TuningEntry, due: Occasion) -> TuningEntry | None:
        wanted = Wanted(
            target=self._rules.target,
            sample=self._rules.sample,
            k=_K,
            apply=True,
            try_indexes=False,
            least_width=self._rules.least_width,
            largest_width=self._rules.largest_width,
            occasion=due,
            sampled_recall=entry.recall_sampled,
            samples=entry.samples,
        )
        try:
            report = await self._tune(wanted)
        except UnsupportedError:
            # Searches are scans here: exact, whatever their settings.
            return None
        except MediaGatewayError as error:
            return await self._noted(connection, replace(entry, action="failed", advice=[str(error)]))
        if self._sampled is not None:
            self._sampled.forget()
        _log.warning(
            "searches were tuned, since %s: ef_search %s to %d, recall %.3f",
            *(due.reason, entry.ef_before, report.ef_search, report.classes[0].recall),
        )
        (last,) = await audit.latest(connection, 1) or [None]
        return last

    async def _noted(self, connection: AsyncConnection[Any], entry: TuningEntry) -> TuningEntry:
        await audit.note(connection, entry)
        _log.warning("searches should be tuned: %s; %s", entry.reason, "; ".join(entry.advice))
        return entry

    async def _standing(self, connection: AsyncConnection[Any]) -> tuple[Standing, int | None, bool]:
        await connection.execute("SELECT set_config('statement_timeout', %s, false)", [f"{_STATEMENT_SECONDS}s"])
        values = {"model": self._space.model, "dimension": self._space.dimension, "most": FEWEST_SEARCHES}
        row = await _one(connection, _READ, values)
        now, rows, searches, tuned_at, tuned_rows, width, noted_at, may_record = row
        sampled = self._sampled
        standing = Standing(
            now=now,
            target=self._rules.target,
            recall=None if sampled is None else sampled.recall,
            high=1.0 if sampled is None else sampled.interval[1],
            samples=0 if sampled is None else sampled.count,
            rows=rows,
            searches=searches,
            tuned_at=tuned_at,
            tuned_rows=tuned_rows,
            noted_at=noted_at,
        )
        return standing, width, may_record


async def _one(connection: AsyncConnection[Any], statement: Any, values: Any) -> tuple[Any, ...]:
    row = await (await connection.execute(statement, values)).fetchone()
    if row is None:
        raise RuntimeError("a statement that gives one row gave none")
    return row
