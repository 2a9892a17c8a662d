"""How many rows a condition may pass, from the statistics that ANALYZE keeps (pg_stats): bounds, not guesses.

Parts of a condition may be correlated in any way, so an AND is bounded as Fréchet has it: at least the sum of the parts
less one for each further part, at most the smallest part. What statistics say nothing of is bounded by 0 and 1. A field of
metadata that has an index of its own has statistics there.
"""

import operator
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial, singledispatch
from math import inf
from typing import Any, Final, TypeAlias

from media_gateway.database.metadata_fields import MetadataField, field_of, noted_field
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

Bounds: TypeAlias = tuple[float, float]
"""The smallest and the largest share of rows, each in [0, 1]."""

_UNKNOWN: Bounds = (0.0, 1.0)
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "low": operator.ge,
    "high": operator.le,
    "above": operator.gt,
    "below": operator.lt,
}


@dataclass(frozen=True, kw_only=True)
class ColumnStatistics:
    """One row of pg_stats: shares of nulls and of common values, a histogram of the others, shares of array elements.

    Values are numbers where the column has an order: ratings as they are, days as proleptic ordinals; of fields of metadata
    they are numbers or text.
    """

    null_share: float = 0.0
    common: dict[Any, float] = field(default_factory=dict[Any, float])
    histogram: Sequence[Any] = ()
    elements: dict[int, float] = field(default_factory=dict[int, float])

    @property
    def rest(self) -> float:
        """The share of rows whose value is neither null nor common."""
        return max(0.0, 1.0 - self.null_share - sum(self.common.values()))

    def equal(self, value: Any) -> Bounds:
        """Return between which shares of the rows have *value*."""
        if value in self.common:
            return self.common[value], self.common[value]
        # What fills a bucket of the histogram would be common.
        rarest = min([*self.common.values(), 1 / max(1, len(self.histogram) - 1)])
        return 0.0, min(self.rest, rarest)

    def inside(self, holds: Callable[[Any], bool]) -> Bounds:
        """Return between which shares of the rows have a value for which *holds*, which is a range of values."""
        common = self._common(holds)
        buckets = len(self.histogram) - 1
        if buckets < 1:
            return common, min(1.0, common + self.rest)
        ends = sum(1 for bound in self.histogram if holds(bound))
        whole, touched = max(0, ends - 1), min(buckets, ends + 1)
        return common + self.rest * whole / buckets, min(1.0, common + self.rest * touched / buckets)

    def between(self, low: float, high: float) -> float:
        """Return the share of rows whose value lies between *low* and *high*, both included."""
        return self.evenly(low, high, lambda value: low <= value <= high)

    def evenly(self, low: float, high: float, holds: Callable[[Any], bool]) -> float:
        """Return the share of rows with a value for which *holds*, those in a bucket of the histogram spread evenly.

        It holds for numbers between *low* and *high*, of which it may leave out either.
        """
        inside = self._position(high) - self._position(low)
        return min(1.0, self._common(holds) + self.rest * max(0.0, inside))

    def _common(self, holds: Callable[[Any], bool]) -> float:
        return sum(share for value, share in self.common.items() if holds(value))

    def _position(self, value: float) -> float:
        """Return which share of the histogram lies below *value*: buckets hold equally many rows."""
        bounds = self.histogram
        if not bounds or value <= bounds[0]:
            return 0.0
        if value >= bounds[-1]:
            return 1.0
        upper = bisect_left(bounds, value)
        width = bounds[upper] - bounds[upper - 1]
        # A field may have values beyond what is told apart, which are infinite.
        within = (value - bounds[upper - 1]) / width if 0 < width < inf else 0.0
        return (upper - 1 + within) / (len(bounds) - 1)


@dataclass(frozen=True, kw_only=True)
class TableStatistics:
    """The table's estimated number of rows, None before the first ANALYZE, and what is known of its columns.

    *fields* are the fields of metadata that have an index, with None where it was not analyzed, or not for this role to see.
    """

    rows: int | None
    columns: dict[str, ColumnStatistics]
    fields: Mapping[MetadataField, ColumnStatistics | None] = field(
        default_factory=dict[MetadataField, ColumnStatistics | None]
    )


def statistics_from(rows: Sequence[Sequence[Any]], indexes: Sequence[Sequence[Any]] = ()) -> TableStatistics:
    """Return the statistics that the rows of the statements `statistics` and `field_statistics` tell."""
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
    return TableStatistics(rows=count, columns=columns, fields=dict(_fields(indexes)))


def _fields(indexes: Sequence[Sequence[Any]]) -> Iterator[tuple[MetadataField, ColumnStatistics | None]]:
    for name, comment, null_share, values, shares, histogram in indexes:
        indexed = noted_field(name, comment)
        if indexed is None:
            continue
        read = float if indexed.type == "number" else str
        known = ColumnStatistics(
            null_share=null_share or 0.0,
            common={read(value): share for value, share in zip(values or (), shares or (), strict=False)},
            histogram=[read(value) for value in histogram or ()],
        )
        yield indexed, None if null_share is None else known


def _comparable(column: str, value: str) -> Any:
    if column == "vote_average":
        return float(value)
    if column == "release_date":
        return date.fromisoformat(value).toordinal()
    return value


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
