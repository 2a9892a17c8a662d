"""Compasses of the conditions under which walks from the query fail: made of samples, and tried on the answers of scans."""

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from media_gateway.database.pool import Pool, Row
from media_gateway.database.where import Where
from media_gateway.errors import StoreError
from media_gateway.models import Matrix, Vector
from media_gateway.stores.postgres.compass import WALKS, Compass, Trial
from media_gateway.stores.postgres.nearest import EVERYTHING, NearestStatements
from media_gateway.stores.postgres.planner import Far, Plan
from media_gateway.vector_math import units

_log = logging.getLogger(__name__)

_SECONDS: Final = 600.0
"""How long a compass counts, and the mean of all: then what passes is drawn anew."""
_CONDITIONS: Final = 32
"""Compasses that are kept: each holds some 200 vectors, 0.6 MB at 768 numbers."""
_PASSING: Final = 200
"""Rows of what passes that tell where it lies."""
_ROWS: Final = 1_000
"""Rows of which the mean of all is taken."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What a scan by *plan* found for the query *vector*, in so many *seconds*."""

    plan: Plan
    vector: Vector
    rows: Sequence[Row]
    seconds: float


class Steering:
    """Keeps the compasses of a table's conditions, each for one number of hits; *target* is the recall that they are to reach."""

    def __init__(self, pool: Pool, statements: NearestStatements, dimension: int, target: float) -> None:
        self._pool = pool
        self._dimension = dimension
        self._statements = statements
        self._target = target
        self._known: OrderedDict[tuple[str, int], tuple[float, Compass]] = OrderedDict()
        self._mean: tuple[float, Vector] | None = None
        self._busy: set[tuple[str, int]] = set()

    def compass(self, where: Where, k: int) -> Compass | None:
        """Return the compass for the best *k* under *where*, None where there is none, or none any more."""
        until, found = self._known.get((where.identity, k), (0.0, None))
        return found if until > time.monotonic() else None

    async def learn(self, answer: Answer, where: Where, far: Far) -> None:
        """Try a walk on an exact *answer* under *where*, whose rows are the best k; what goes wrong is logged, and fails no search."""
        key = (where.identity, len(answer.rows))
        if far.longest < WALKS[0] or key in self._busy:
            return
        self._busy.add(key)
        try:
            compass = self.compass(where, len(answer.rows)) or await self._made(far, where, len(answer.rows))
            if compass.wants_trial:
                compass.learn(await self._trial(compass, answer, where, far))
        except StoreError as error:
            _log.info("a walk towards what passes a filter could not be tried: %s", error)
        finally:
            self._busy.discard(key)

    async def _trial(self, compass: Compass, answer: Answer, where: Where, far: Far) -> Trial:
        start = compass.start(answer.vector)
        statement = self._statements.places(far.steered(answer.plan, compass.walks[-1], start), where)
        values = {"start": start, **where.values}
        began = time.perf_counter()
        rows = await self._pool.fetch(statement, values, prepare=False)
        return Trial(
            expected=[row[0] for row in answer.rows],
            scanned=answer.seconds,
            places={row[0]: row[1] for row in rows},
            walked=time.perf_counter() - began,
        )

    async def _made(self, far: Far, where: Where, k: int) -> Compass:
        passing = await self._drawn(where, _PASSING, far.share * far.total)
        if self._mean is None or self._mean[0] <= time.monotonic():
            rows = await self._drawn(EVERYTHING, _ROWS, far.total)
            self._mean = (time.monotonic() + _SECONDS, rows.mean(axis=0))
        compass = Compass(passing, self._mean[1], most=far.longest, target=self._target)
        self._known[where.identity, k] = (time.monotonic() + _SECONDS, compass)
        self._known.move_to_end((where.identity, k))
        if len(self._known) > _CONDITIONS:
            self._known.popitem(last=False)
        return compass

    async def _drawn(self, where: Where, rows: int, among: float) -> Matrix:
        """Return the directions of about so many *rows* *among* those that pass *where*, twice as many at most, (n, d) float32."""
        percent = min(100.0, 100.0 * rows / max(among, 1.0))
        statement = self._statements.drawn(where, percent, 2 * rows)
        found = await self._pool.fetch(statement, where.values, prepare=False)
        return units(np.array([row[0] for row in found], dtype=np.float32).reshape(-1, self._dimension))
