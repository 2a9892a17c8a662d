"""What ANALYZE knows of the table (pg_stats): its rows, its columns, and the fields of metadata that have an index."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import inf
from typing import Any, TypeAlias

from media_gateway.database.metadata_fields import MetadataField, noted_field

Bounds: TypeAlias = tuple[float, float]
"""The smallest and the largest share of rows, each in [0, 1]."""


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
