"""Which way a filtered search goes: a scan of what matches, or the index with a filter on what it yields.

A scan costs by the rows that pass, about 2.4 µs each at 768 numbers. The index costs by how far it must walk to find k
that pass: about 0.1 ms for each in a hundred thousand that does not. They meet where the number of passing rows is a
multiple of the square root of the table's rows; near there either way is good, so an estimate is enough.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from media_gateway.filters import Condition
from media_gateway.stores.postgres.selectivity import Bounds, TableStatistics, passing_share, statistics_from

Way: TypeAlias = Literal["scan", "index", "count"]

_ROOT_MULTIPLE: Final = 6.5
_LEAST_TURN: Final = 1_000
_REFRESH_SECONDS: Final = 60.0
_REMEMBERED: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The *way* that a search goes and why; *rows* bounds how many pass, *turn* is where the ways cost the same.

    `scan` compares all that pass; `index` walks the index and filters; `count` counts up to *turn* and then does the
    one or the other, in one statement.
    """

    way: Way
    reason: str
    turn: int
    rows: tuple[int, int] | None = None


class Planner:
    """Chooses by the table's statistics, and remembers what counting has told.

    *fetch_statistics* returns the rows of the statement `statistics`; it is asked once a minute at most.
    """

    def __init__(self, fetch_statistics: Callable[[], Awaitable[Sequence[Sequence[Any]]]]) -> None:
        self._fetch_statistics = fetch_statistics
        self._statistics = TableStatistics(rows=None, columns={})
        self._fresh_until = 0.0
        self._counted: OrderedDict[str, tuple[float, int]] = OrderedDict()

    async def plan(self, condition: Condition, identity: str) -> Plan:
        """Return how to search under *condition*; *identity* is the same for equal conditions only."""
        await self._refresh()
        turn = self._turn()
        counted = self._recall(identity)
        if counted is not None:
            way = "scan" if counted <= turn else "index"
            return Plan(way=way, reason="counted before", turn=turn, rows=(counted, counted))
        if self._statistics.rows is None:
            return Plan(way="count", reason="the table was never analyzed", turn=turn)
        return _by_bounds(passing_share(condition, self._statistics), self._statistics.rows, turn)

    def learn(self, identity: str, count: int) -> None:
        """Remember that the condition of *identity* passed *count* rows, or more where that is beyond the turn."""
        self._counted[identity] = (time.monotonic() + _REFRESH_SECONDS, count)
        self._counted.move_to_end(identity)
        if len(self._counted) > _REMEMBERED:
            self._counted.popitem(last=False)

    def _recall(self, identity: str) -> int | None:
        valid_until, count = self._counted.get(identity, (0.0, 0))
        return count if time.monotonic() < valid_until else None

    def _turn(self) -> int:
        rows = self._statistics.rows or 0
        return max(_LEAST_TURN, int(_ROOT_MULTIPLE * math.sqrt(rows)))

    async def _refresh(self) -> None:
        if time.monotonic() < self._fresh_until:
            return
        # Set first, so that callers at the same time do not all ask.
        self._fresh_until = time.monotonic() + _REFRESH_SECONDS
        try:
            self._statistics = statistics_from(await self._fetch_statistics())
        except BaseException:
            self._fresh_until = 0.0
            raise


def _by_bounds(share: Bounds, total: int, turn: int) -> Plan:
    rows = (int(share[0] * total), math.ceil(share[1] * total))
    if rows[1] <= turn:
        return Plan(way="scan", reason=f"at most {rows[1]:,} rows pass by the statistics", turn=turn, rows=rows)
    if rows[0] > turn:
        return Plan(way="index", reason=f"at least {rows[0]:,} rows pass by the statistics", turn=turn, rows=rows)
    return Plan(way="count", reason="the statistics leave open how many rows pass", turn=turn, rows=rows)
