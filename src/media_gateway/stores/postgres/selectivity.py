"""How many rows a condition may pass, from the statistics that ANALYZE keeps (pg_stats): bounds, not guesses.

Parts of a condition may be correlated in any way, so an AND is bounded as Fréchet has it: at least the sum of the parts
less one for each further part, at most the smallest part. What statistics say nothing of is bounded by 0 and 1. A field of
metadata that has an index of its own has statistics there.
"""

import operator
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial, singledispatch
from math import inf
from typing import Any, Final

from media_gateway.database.metadata_fields import MetadataField, field_of
from media_gateway.filters import (
    And,
    Condition,
    GenresAll,
    GenresAny,
    MediaTypeIs,
    MetadataEquals,
    MetadataIn,
    MetadataRange,
    Not,
    Or,
    RatingBetween,
    ReleasedBetween,
)
from media_gateway.stores.postgres.statistics import Bounds, ColumnStatistics, TableStatistics

_UNKNOWN: Bounds = (0.0, 1.0)
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "low": operator.ge,
    "high": operator.le,
    "above": operator.gt,
    "below": operator.lt,
}


def passing_share(condition: Condition, statistics: TableStatistics) -> Bounds:
    """Return between which shares of the table's rows pass *condition*."""
    return _bounds(condition, statistics)


def has_index(condition: Condition, statistics: TableStatistics) -> bool:
    """Return whether the server can find what passes *condition* by an index, and so count or scan only that."""
    if isinstance(condition, And):
        return any(has_index(part, statistics) for part in condition.parts)
    if isinstance(condition, Or):
        return all(has_index(part, statistics) for part in condition.parts)
    if isinstance(condition, MetadataRange):
        return field_of(condition) in statistics.fields
    indexed = MediaTypeIs | GenresAny | GenresAll | RatingBetween | ReleasedBetween | MetadataEquals | MetadataIn
    return isinstance(condition, indexed)


def unindexed_field(condition: Condition, statistics: TableStatistics) -> MetadataField | None:
    """Return a field of a range in *condition* that could have an index and has none."""
    if isinstance(condition, And | Or):
        found = (unindexed_field(part, statistics) for part in condition.parts)
        return next((part for part in found if part is not None), None)
    if isinstance(condition, Not):
        return unindexed_field(condition.part, statistics)
    wanted = field_of(condition) if isinstance(condition, MetadataRange) else None
    return None if wanted in statistics.fields else wanted


@singledispatch
def _bounds(_condition: Condition, _statistics: TableStatistics) -> Bounds:
    return _UNKNOWN


@_bounds.register
def _(condition: MediaTypeIs, statistics: TableStatistics) -> Bounds:
    column = statistics.columns.get("media_type")
    if column is None:
        return _UNKNOWN
    share = column.common.get(condition.media_type, 0.0)
    return share, share


@_bounds.register
def _(condition: RatingBetween, statistics: TableStatistics) -> Bounds:
    column = statistics.columns.get("vote_average")
    if column is None:
        return _UNKNOWN
    low = float("-inf") if condition.low is None else condition.low
    share = column.between(low, float("inf") if condition.high is None else condition.high)
    return share, share


@_bounds.register
def _(condition: ReleasedBetween, statistics: TableStatistics) -> Bounds:
    column = statistics.columns.get("release_date")
    if column is None:
        return _UNKNOWN
    first, last = condition.first or date.min, condition.last or date.max
    share = column.between(first.toordinal(), last.toordinal())
    return share, share


@_bounds.register
def _(condition: GenresAny, statistics: TableStatistics) -> Bounds:
    shares = _genre_shares(condition.ids, statistics)
    return max(low for low, _ in shares), min(1.0, sum(high for _, high in shares))


@_bounds.register
def _(condition: GenresAll, statistics: TableStatistics) -> Bounds:
    return _all(_genre_shares(condition.ids, statistics))


def _genre_shares(ids: Sequence[int], statistics: TableStatistics) -> list[Bounds]:
    column = statistics.columns.get("genre_ids")
    if column is None or not column.elements:
        return [_UNKNOWN]
    present = 1.0 - column.null_share
    # An element that is not listed is rarer than every one that is.
    rarest = min(column.elements.values())
    shares = [column.elements.get(number) for number in ids]
    return [(0.0, rarest * present) if share is None else (share * present, share * present) for share in shares]


@_bounds.register
def _(condition: MetadataRange, statistics: TableStatistics) -> Bounds:
    column = _field(condition, statistics)
    if column is None:
        return _UNKNOWN
    holds = partial(_holds, condition)
    if condition.is_text or not column.histogram:
        return column.inside(holds)
    # Numbers are taken to lie evenly within a bucket; text has no such measure.
    low, high = _ends(condition)
    if low == high:
        return column.equal(low)
    share = column.evenly(low, high, holds)
    return share, share


def _holds(condition: MetadataRange, value: Any) -> bool:
    return all(_COMPARISONS[name](value, bound) for name, bound in condition.bounds.items())


def _ends(condition: MetadataRange) -> tuple[float, float]:
    """Return the numbers between which the range of *condition* lies."""
    bounds = {name: float(bound) for name, bound in condition.bounds.items()}
    return max(bounds.get("low", -inf), bounds.get("above", -inf)), min(
        bounds.get("high", inf), bounds.get("below", inf)
    )


@_bounds.register
def _(condition: MetadataEquals, statistics: TableStatistics) -> Bounds:
    column = _field(condition, statistics)
    return _UNKNOWN if column is None else column.equal(condition.value)


def _field(condition: Condition, statistics: TableStatistics) -> ColumnStatistics | None:
    wanted = field_of(condition)
    return None if wanted is None else statistics.fields.get(wanted)


@_bounds.register
def _(condition: MetadataIn, statistics: TableStatistics) -> Bounds:
    parts = [_bounds(MetadataEquals(condition.key, value), statistics) for value in condition.values]
    return max(low for low, _ in parts), min(1.0, sum(high for _, high in parts))


@_bounds.register
def _(condition: And, statistics: TableStatistics) -> Bounds:
    return _all([_bounds(part, statistics) for part in condition.parts])


@_bounds.register
def _(condition: Or, statistics: TableStatistics) -> Bounds:
    parts = [_bounds(part, statistics) for part in condition.parts]
    return max(low for low, _ in parts), min(1.0, sum(high for _, high in parts))


@_bounds.register
def _(condition: Not, statistics: TableStatistics) -> Bounds:
    low, high = _bounds(condition.part, statistics)
    return 1.0 - high, 1.0 - low


def _all(parts: Sequence[Bounds]) -> Bounds:
    return max(0.0, sum(low for low, _ in parts) - (len(parts) - 1)), min(high for _, high in parts)
