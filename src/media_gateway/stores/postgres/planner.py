"""Which way a search goes: a scan of what matches, or the index with a filter on what it yields.

A scan costs by the rows that pass, about 2.4 µs each at 768 numbers. The index costs by how far it must walk to find
enough that pass, about 10 µs a row. They meet where the number of passing rows is a multiple of the square root of the
table's rows; near there either way is good, so an estimate is enough.
"""

import math
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from media_gateway.filters import Condition
from media_gateway.models import SearchWay
from media_gateway.stores.postgres.selectivity import has_index, passing_share
from media_gateway.stores.postgres.situation import Situation, VectorIndex
from media_gateway.stores.postgres.tuning.knobs import LARGEST_EF

_REMEMBER_SECONDS: Final = 60.0
_REMEMBERED: Final = 1_000
_GUESS: Final = 0.02
"""The share that a filter is taken to pass when nothing tells; the walk that suffices for it costs about as much as reading
100,000 rows, so that a wrong guess costs twice the best way."""
_RERANKED: Final = 10
"""Candidates beyond k that an index of halved numbers gives, so that its rounding cannot move a hit out of the best k."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The *way* that a search goes and why; *rows* bounds how many pass, *turn* is where the ways cost the same.

    `scan` compares all that pass; `index` walks the index and filters; `count` counts up to *turn* and then does the
    one or the other, in one statement. From *index*, searched with the width *ef_search*, *fetch* candidates are taken;
    after visiting *walk* nodes without finding as many it gives up, None for no limit.
    """

    way: SearchWay
    reason: str
    turn: int
    rows: tuple[int, int] | None = None
    index: VectorIndex | None = None
    ef_search: int = 0
    fetch: int = 0
    walk: int | None = None


class Planner:
    """Chooses by the table's situation, and remembers what counting has told."""

    def __init__(self) -> None:
        self._counted: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def unfiltered(self, situation: Situation, k: int, excluded: int = 0) -> Plan:
        """Return how to search without a condition, *excluded* records left out."""
        if situation.index is None:
            return Plan(way="scan", reason=situation.no_index, turn=0)
        fetch = _candidates(situation.index, k, 1.0)
        width = situation.knobs.width(fetch + excluded)
        reason = situation.with_note("there is no filter")
        return Plan(way="index", reason=reason, turn=0, index=situation.index, ef_search=width, fetch=fetch)

    def filtered(self, situation: Situation, condition: Condition, identity: str, k: int) -> Plan:
        """Return how to search under *condition*; *identity* is the same for equal conditions only."""
        if situation.index is None:
            return Plan(way="scan", reason=situation.no_index, turn=0)
        is_indexed = has_index(condition)
        total = situation.statistics.rows or situation.least_rows
        turn = situation.knobs.turn(total, k, is_indexed=is_indexed)
        counted = self._recall(identity)
        if counted is not None:
            return self._by_count(situation, counted, _Passing(total=total, turn=turn, k=k))
        known = situation.statistics.rows is not None
        share = passing_share(condition, situation.statistics) if known else (0.0, 1.0)
        rows = (int(share[0] * total), min(total, math.ceil(share[1] * total)))
        passing = _Passing(share=share[0], total=total, rows=rows, turn=turn, k=k)
        if rows[1] <= turn:
            reason = f"at most {rows[1]:,} rows pass by the statistics"
            return Plan(way="scan", reason=reason, turn=turn, rows=rows)
        if rows[0] > turn:
            return self._by_index(situation, passing, f"at least {rows[0]:,} rows pass by the statistics")
        reason = "the statistics leave open how many rows pass" if known else "the table was never analyzed"
        passing = replace(passing, share=turn / total)
        if is_indexed:
            return self._by_index(situation, passing, reason, way="count")
        # Counting would read the whole table, as the scan would; walking the index is cheaper unless it fails.
        passing = replace(passing, share=max(passing.share, _GUESS))
        return self._by_index(situation, passing, f"{reason}, and no index of the server's could tell")

    def evenly(self, situation: Situation, share: float, total: int, k: int) -> Plan:
        """Return how the index is searched under a filter that passes *share* of *total* rows, spread evenly."""
        count = int(share * total)
        passing = _Passing(share=share, total=total, rows=(count, count), turn=0, k=k)
        return self._by_index(situation, passing, "its rows were counted")

    def learn(self, identity: str, count: int) -> None:
        """Remember that the condition of *identity* passed *count* rows, or more where that is beyond the turn."""
        self._counted[identity] = (time.monotonic() + _REMEMBER_SECONDS, count)
        self._counted.move_to_end(identity)
        if len(self._counted) > _REMEMBERED:
            self._counted.popitem(last=False)

    def _recall(self, identity: str) -> int | None:
        valid_until, count = self._counted.get(identity, (0.0, 0))
        return count if time.monotonic() < valid_until else None

    def _by_count(self, situation: Situation, counted: int, passing: "_Passing") -> Plan:
        if counted <= passing.turn:
            reason = f"{counted:,} rows passed a moment ago"
            return Plan(way="scan", reason=reason, turn=passing.turn, rows=(counted, counted))
        # Counting stopped beyond the turn.
        passing = replace(passing, share=counted / passing.total, rows=(counted, passing.total))
        return self._by_index(situation, passing, f"{counted:,} rows or more passed a moment ago")

    def _by_index(self, situation: Situation, passing: "_Passing", reason: str, *, way: SearchWay = "index") -> Plan:
        knobs, index = situation.knobs, situation.index
        if index is None:
            return Plan(way="scan", reason=situation.no_index, turn=0)
        fetch = _candidates(index, passing.k, knobs.factor(passing.share))
        return Plan(
            way=way,
            reason=situation.with_note(reason),
            turn=passing.turn,
            rows=passing.rows,
            index=index,
            ef_search=min(max(knobs.ef_search, fetch), LARGEST_EF),
            fetch=fetch,
            walk=knobs.walk(fetch, passing.share, passing.total),
        )


@dataclass(frozen=True, kw_only=True)
class _Passing:
    """What is known of the rows that pass, of *total*: at least *share* of them, between *rows*; *k* are wanted."""

    total: int
    turn: int
    k: int
    share: float = 0.0
    rows: tuple[int, int] = (0, 0)


def _candidates(index: VectorIndex, k: int, factor: float) -> int:
    fetch = math.ceil(k * factor)
    return max(fetch, k + _RERANKED) if index.is_halved else fetch
