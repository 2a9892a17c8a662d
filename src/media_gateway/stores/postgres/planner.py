"""Which way a search goes: a scan of what matches, or the index with a filter on what it yields.

A scan costs by the rows that pass, about 2.4 µs each at 768 numbers. The index costs by how far it must walk to find
enough that pass, about 10 µs a row. They meet where the number of passing rows is a multiple of the square root of the
table's rows; near there either way is good, so an estimate is enough. Where what passes lies far from the query, as the
comedies do from a query about wars, the index finds it slowly and badly: such a walk ends early, a scan follows, and
where that happens often under one condition the scan comes first. In its place comes a walk that begins nearer to what
passes, once it is known to find that (`compass.py`).
"""

import math
import shlex
from dataclasses import dataclass, field, replace
from typing import Final

from media_gateway.database.metadata_fields import MetadataField
from media_gateway.filters import Condition
from media_gateway.models import SearchWay, Vector
from media_gateway.stores.postgres.experience import Experience, Experiences
from media_gateway.stores.postgres.selectivity import has_index, passing_share, unindexed_field
from media_gateway.stores.postgres.situation import Situation, VectorIndex
from media_gateway.stores.postgres.tuning.knobs import LARGEST_EF, candidates

_GUESS: Final = 0.02
"""The share that a filter is taken to pass when nothing tells; the walk that suffices for it costs about as much as reading
100,000 rows, so that a wrong guess costs twice the best way."""
_STEP: Final = 60
"""Width of walks that the first one does not suffice for. At 100,000 rows of which a tenth passes, steps of 40 to 60 took a sixth
less time than those of 80 to 100, a fifth less at the 95th percentile; the recall was .005 lower, which tuning makes up for."""
_STEERED: Final = 100
"""Width of walks that begin where what passes lies, and go on far."""
_TRIED: Final = 0.5
"""What such a walk may cost of the scan in whose place it comes to be tried, by what tuning found rows to cost."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The *way* that a search goes and why; *rows* bounds how many pass, *turn* is where the ways cost the same.

    `scan` compares all that pass; `index` walks the index and filters; `count` tells whether more than *turn* pass and then
    does the one or the other, in one statement: by counting, or by a sample of the *sampled* rows. From *index*, searched
    with the width *ef_search*, *fetch* candidates are taken; after *walk* rows without finding as many it gives up, None
    for no limit. *far* tells how to go where walks find too few, and that they do where the way is a scan. A walk begins at
    *start*, a vector, where that is not the query.
    """

    way: SearchWay
    reason: str
    turn: int
    rows: tuple[int, int] | None = None
    index: VectorIndex | None = None
    ef_search: int = 0
    fetch: int = 0
    walk: int | None = None
    sampled: int | None = None
    far: "Far | None" = None
    start: Vector | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Far:
    """What lies far from the query: a *share* of *total* rows, *compared* at a time in which *index* yields one row."""

    index: VectorIndex
    share: float
    total: int
    compared: float

    @property
    def longest(self) -> int:
        """Return how many rows a walk may yield to be worth trying in place of a scan."""
        return int(_TRIED * self.share * self.total / self.compared)

    def steered(self, plan: Plan, walk: int, start: Vector) -> Plan:
        """Return the plan of a walk of up to *walk* rows that begins at *start*, where what passes lies, in place of *plan*."""
        reason = f"{plan.reason}, so one of {walk:,} rows begins where what passes lies, which exact answers showed to suffice"
        return replace(
            plan,
            way="index",
            reason=reason,
            index=self.index,
            ef_search=_STEERED,
            fetch=walk,
            walk=walk,
            start=start,
        )


class Planner:
    """Chooses by the table's situation, and by what searches under the same condition came to."""

    def __init__(self) -> None:
        self.experiences = Experiences()

    def unfiltered(self, situation: Situation, k: int, excluded: int = 0) -> Plan:
        """Return how to search without a condition, *excluded* records left out."""
        if situation.index is None:
            return Plan(way="scan", reason=situation.no_index, turn=0)
        width = min(situation.knobs.width(k) + excluded, LARGEST_EF)
        fetch = min(candidates(k, is_halved=situation.index.is_halved), max(width, k))
        reason = situation.with_note("there is no filter")
        return Plan(way="index", reason=reason, turn=0, index=situation.index, ef_search=width, fetch=fetch)

    def filtered(
        self, situation: Situation, condition: Condition, identity: str, k: int, steered: int | None = None
    ) -> Plan:
        """Return how to search under *condition*; *identity* is the same for equal conditions only.

        *steered* is how many rows a walk yields that is taken where one from the query fails, None where it is a scan.
        """
        plan = self._filtered(situation, condition, identity, k, steered)
        if situation.index is None or has_index(condition, situation.statistics):
            return plan
        lacking = unindexed_field(condition, situation.statistics)
        return plan if lacking is None else replace(plan, reason=f"{plan.reason}; {_advice(lacking)}")

    def _filtered(self, situation: Situation, condition: Condition, identity: str, k: int, steered: int | None) -> Plan:
        if situation.index is None:
            return Plan(way="scan", reason=situation.no_index, turn=0)
        is_indexed = has_index(condition, situation.statistics)
        known = situation.statistics.rows is not None
        total = situation.statistics.rows or situation.least_rows
        experience = self.experiences.of(identity)
        asked = _Asked(
            total=total,
            turn=situation.knobs.turn(total, k, is_indexed=is_indexed),
            k=k,
            chance=experience.chance,
            steered=steered,
        )
        if experience.passed is not None:
            return _by_count(situation, experience, asked)
        share = passing_share(condition, situation.statistics) if known else (0.0, 1.0)
        rows = (int(share[0] * total), min(total, math.ceil(share[1] * total)))
        asked = replace(asked, share=share[0], rows=rows)
        if rows[1] <= asked.turn:
            reason = f"at most {rows[1]:,} rows pass by the statistics"
            return Plan(way="scan", reason=reason, turn=asked.turn, rows=rows)
        if rows[0] > asked.turn:
            return _by_index(situation, asked, f"at least {rows[0]:,} rows pass by the statistics")
        asked = replace(asked, share=asked.turn / total)
        if known:
            reason = "the statistics leave open how many rows pass, so a sample tells"
            return replace(_by_index(situation, asked, reason, way="count"), sampled=total)
        if is_indexed:
            return _by_index(situation, asked, "the table was never analyzed, so what passes is counted", way="count")
        # Counting would read the whole table, as the scan would; walking the index is cheaper unless it fails.
        asked = replace(asked, share=max(asked.share, _GUESS))
        return _by_index(situation, asked, "the table was never analyzed, and no index of the server's could tell")

    def evenly(self, situation: Situation, share: float, total: int, k: int) -> Plan:
        """Return how the index is searched under a filter that passes *share* of *total* rows, spread evenly."""
        count = int(share * total)
        asked = _Asked(share=share, total=total, rows=(count, count), turn=0, k=k)
        return _by_index(situation, asked, "its rows were counted")


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """*k* hits are wanted among *total* rows, of which at least *share* pass, between *rows*.

    From *turn* rows on that pass the index is the cheaper way; by experience it finds enough with a *chance*. Where it
    does not, a walk that is *steered* yields so many rows, None where all that pass are compared.
    """

    total: int
    turn: int
    k: int
    chance: float = 1.0
    share: float = 0.0
    rows: tuple[int, int] | None = None
    steered: int | None = None

    def second(self, compared: float) -> float:
        """Return what follows a walk in vain, in rows compared, of which there are so many to a row of a walk."""
        scan = self.share * self.total
        return scan if self.steered is None else min(scan, self.steered * compared)


def _advice(field: MetadataField) -> str:
    command = f"media-gateway index field {shlex.quote(field.name)} --type {field.type}"
    return f"an index on the field would tell: {command}"


def _by_count(situation: Situation, experience: Experience, asked: _Asked) -> Plan:
    passed = experience.passed or 0
    number = f"about {passed:,} rows pass, as a sample told" if experience.is_sampled else f"{passed:,} rows passed"
    if passed <= asked.turn:
        rows = None if experience.is_sampled else (passed, passed)
        return Plan(way="scan", reason=f"{number} a moment ago", turn=asked.turn, rows=rows)
    # Counting stopped beyond the turn.
    rows = None if experience.is_sampled else (passed, asked.total)
    more = "" if experience.is_sampled else " or more"
    asked = replace(asked, share=passed / asked.total, rows=rows)
    return _by_index(situation, asked, f"{number}{more} a moment ago")


def _by_index(situation: Situation, asked: _Asked, reason: str, *, way: SearchWay = "index") -> Plan:
    knobs, index = situation.knobs, situation.index
    if index is None:
        return Plan(way="scan", reason=situation.no_index, turn=0)
    # Half of what the first width yields anyway is looked at: where what passes is thinner about the query than
    # elsewhere, the first k of it would come from the edge of the width, which is found badly.
    fetch = max(math.ceil(asked.k * knobs.factor(asked.share)), math.ceil(asked.share * knobs.ef_search / 2))
    # A walk that goes on does so by its width: in small steps it does not go far beyond where it finds enough. A narrow one
    # is made as wide as is likely to suffice at once.
    likely = math.ceil(fetch / max(asked.share, 1e-9))
    step = knobs.ef_search if likely <= knobs.ef_search else min(likely, _STEP)
    width = min(max(step, fetch), LARGEST_EF)
    second = asked.second(knobs.walk_ratio)
    walk = knobs.walk(fetch, asked.share, asked.total, second)
    far = Far(index=index, share=asked.share, total=asked.total, compared=knobs.walk_ratio)
    if way == "index" and _is_vain(asked.chance, second, walk * knobs.walk_ratio):
        reason = f"{reason}, but walks of the index find too few near such queries"
        return Plan(way="scan", reason=reason, turn=asked.turn, rows=asked.rows, far=far)
    return Plan(
        way=way,
        reason=situation.with_note(reason),
        turn=asked.turn,
        rows=asked.rows,
        index=index,
        ef_search=width,
        fetch=fetch,
        walk=walk,
        far=far,
    )


def _is_vain(chance: float, second: float, cost: float) -> bool:
    """Return whether a walk costs more than it may save, in rows compared: *cost* where it fails, half of it where not."""
    return chance * second < cost * (1 - chance / 2)
