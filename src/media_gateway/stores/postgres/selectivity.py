"""How many rows a condition may pass, from the statistics that ANALYZE keeps (pg_stats): bounds, not guesses.

Parts of a condition may be correlated in any way, so an AND is bounded as Fréchet has it: at least the sum of the parts
less one for each further part, at most the smallest part. What statistics say nothing of is bounded by 0 and 1.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import singledispatch
from typing import Any, TypeAlias

from media_gateway.filters import (
    And,
    Condition,
    GenresAll,
    GenresAny,
    MediaTypeIs,
    MetadataEquals,
    MetadataIn,
    Not,
    Or,
    RatingBetween,
    ReleasedBetween,
)

Bounds: TypeAlias = tuple[float, float]
"""The smallest and the largest share of rows, each in [0, 1]."""

_UNKNOWN: Bounds = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class ColumnStatistics:
    """One row of pg_stats: shares of nulls and of common values, a histogram of the others, shares of array elements.

    Values are numbers where the column has an order: ratings as they are, days as proleptic ordinals.
    """

    null_share: float = 0.0
    common: dict[Any, float] = field(default_factory=dict[Any, float])
    histogram: Sequence[float] = ()
    elements: dict[int, float] = field(default_factory=dict[int, float])

    def between(self, low: float, high: float) -> float:
        """Return the share of rows whose value lies between *low* and *high*, both included."""
        common = sum(share for value, share in self.common.items() if low <= value <= high)
        rest = max(0.0, 1.0 - self.null_share - sum(self.common.values()))
        inside = self._position(high) - self._position(low)
        return min(1.0, common + rest * max(0.0, inside))

    def _position(self, value: float) -> float:
        """Return which share of the histogram lies below *value*: buckets hold equally many rows."""
        bounds = self.histogram
        if not bounds or value <= bounds[0]:
            return 0.0
        if value >= bounds[-1]:
            return 1.0
        upper = bisect_left(bounds, value)
        width = bounds[upper] - bounds[upper - 1]
        within = (value - bounds[upper - 1]) / width if width else 0.0
        return (upper - 1 + within) / (len(bounds) - 1)


@dataclass(frozen=True, kw_only=True)
class TableStatistics:
    """The table's estimated number of rows, None before the first ANALYZE, and what is known of its columns."""

    rows: int | None
    columns: dict[str, ColumnStatistics]


def statistics_from(rows: Sequence[Sequence[Any]]) -> TableStatistics:
    """Return the statistics that the rows of the statement `statistics` tell."""
    columns: dict[str, ColumnStatistics] = {}
    count: int | None = None
    for reltuples, name, null_share, values, shares, histogram, elements, element_shares in rows:
        count = None if reltuples < 0 else int(reltuples)
        if name is None:
            continue
        columns[name] = ColumnStatistics(
            null_share=null_share,
            common={_comparable(name, value): share for value, share in zip(values or (), shares or (), strict=False)},
            histogram=[_comparable(name, value) for value in histogram or ()],
            # Behind the shares of the elements stand their smallest and largest, which the shorter list cuts off.
            elements={
                int(element): share for element, share in zip(elements or (), element_shares or (), strict=False)
            },
        )
    return TableStatistics(rows=count, columns=columns)


def _comparable(column: str, value: str) -> Any:
    if column == "vote_average":
        return float(value)
    if column == "release_date":
        return date.fromisoformat(value).toordinal()
    return value


def passing_share(condition: Condition, statistics: TableStatistics) -> Bounds:
    """Return between which shares of the table's rows pass *condition*."""
    return _bounds(condition, statistics.columns)


def has_index(condition: Condition) -> bool:
    """Return whether the server can find what passes *condition* by an index, and so count or scan only that."""
    if isinstance(condition, And):
        return any(has_index(part) for part in condition.parts)
    if isinstance(condition, Or):
        return all(has_index(part) for part in condition.parts)
    indexed = MediaTypeIs | GenresAny | GenresAll | RatingBetween | ReleasedBetween | MetadataEquals | MetadataIn
    return isinstance(condition, indexed)


@singledispatch
def _bounds(_condition: Condition, _columns: dict[str, ColumnStatistics]) -> Bounds:
    return _UNKNOWN


@_bounds.register
def _(condition: MediaTypeIs, columns: dict[str, ColumnStatistics]) -> Bounds:
    column = columns.get("media_type")
    if column is None:
        return _UNKNOWN
    share = column.common.get(condition.media_type, 0.0)
    return share, share


@_bounds.register
def _(condition: RatingBetween, columns: dict[str, ColumnStatistics]) -> Bounds:
    column = columns.get("vote_average")
    if column is None:
        return _UNKNOWN
    low = float("-inf") if condition.low is None else condition.low
    share = column.between(low, float("inf") if condition.high is None else condition.high)
    return share, share


@_bounds.register
def _(condition: ReleasedBetween, columns: dict[str, ColumnStatistics]) -> Bounds:
    column = columns.get("release_date")
    if column is None:
        return _UNKNOWN
    first, last = condition.first or date.min, condition.last or date.max
    share = column.between(first.toordinal(), last.toordinal())
    return share, share


@_bounds.register
def _(condition: GenresAny, columns: dict[str, ColumnStatistics]) -> Bounds:
    shares = _genre_shares(condition.ids, columns)
    return max(low for low, _ in shares), min(1.0, sum(high for _, high in shares))


@_bounds.register
def _(condition: GenresAll, columns: dict[str, ColumnStatistics]) -> Bounds:
    return _all(_genre_shares(condition.ids, columns))


def _genre_shares(ids: Sequence[int], columns: dict[str, ColumnStatistics]) -> list[Bounds]:
    column = columns.get("genre_ids")
    if column is None or not column.elements:
        return [_UNKNOWN]
    present = 1.0 - column.null_share
    # An element that is not listed is rarer than every one that is.
    rarest = min(column.elements.values())
    shares = [column.elements.get(number) for number in ids]
    return [(0.0, rarest * present) if share is None else (share * present, share * present) for share in shares]


@_bounds.register
def _(condition: And, columns: dict[str, ColumnStatistics]) -> Bounds:
    return _all([_bounds(part, columns) for part in condition.parts])


@_bounds.register
def _(condition: Or, columns: dict[str, ColumnStatistics]) -> Bounds:
    parts = [_bounds(part, columns) for part in condition.parts]
    return max(low for low, _ in parts), min(1.0, sum(high for _, high in parts))


@_bounds.register
def _(condition: Not, columns: dict[str, ColumnStatistics]) -> Bounds:
    low, high = _bounds(condition.part, columns)
    return 1.0 - high, 1.0 - low


def _all(parts: Sequence[Bounds]) -> Bounds:
    return max(0.0, sum(low for low, _ in parts) - (len(parts) - 1)), min(high for _, high in parts)
