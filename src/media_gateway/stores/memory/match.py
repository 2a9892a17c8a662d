"""Which records a condition selects: conditions to masks over slots, by way of columns."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import reduce
from typing import Any, Final, TypeAlias, cast

import numpy as np

from media_gateway.filters import (
    And,
    Condition,
    GenresAll,
    GenresAny,
    MediaTypeIs,
    MetadataEquals,
    MetadataExists,
    MetadataIn,
    MetadataRange,
    Not,
    Or,
    RatingBetween,
    ReleasedBetween,
)
from media_gateway.stores.memory.columns import Column, GenresColumn, MediaTypeColumn, RatingColumn, ReleaseColumn
from media_gateway.stores.memory.entries import EntryColumn
from media_gateway.stores.memory.records import Mask

ColumnName: TypeAlias = tuple[type[Column], str]
"""What a column holds, and the metadata key for a column of entries ("" for the others)."""

MOST_COLUMNS: Final = 64
MOST_BYTES: Final = 256 * 2**20
"""What the columns of metadata entries may take together; those used longest ago go first."""

_MEDIA_TYPE: Final[ColumnName] = (MediaTypeColumn, "")
_RATING: Final[ColumnName] = (RatingColumn, "")
_RELEASE: Final[ColumnName] = (ReleaseColumn, "")
_GENRES: Final[ColumnName] = (GenresColumn, "")


def columns_of(condition: Condition) -> Iterator[ColumnName]:
    """Yield the names of the columns that *condition* asks, some perhaps twice."""
    match condition:
        case MediaTypeIs():
            yield _MEDIA_TYPE
        case GenresAny() | GenresAll():
            yield _GENRES
        case RatingBetween():
            yield _RATING
        case ReleasedBetween():
            yield _RELEASE
        case MetadataEquals(key=key) | MetadataIn(key=key) | MetadataRange(key=key) | MetadataExists(key=key):
            yield EntryColumn, key
        case And(parts=parts) | Or(parts=parts):
            for part in parts:
                yield from columns_of(part)
        case Not(part=part):
            yield from columns_of(part)
        case _:
            raise TypeError(f"{type(condition).__name__} is not a condition that this store knows")


def made(name: ColumnName, documents: Iterable[Mapping[str, Any]] = ()) -> Column:
    """Return a new column *name* of the slots whose metadata is *documents*."""
    kind, key = name
    column = EntryColumn(key) if kind is EntryColumn else cast("Callable[[], Column]", kind)()
    column.extend(documents)
    return column


class Columns:
    """The columns that filters asked for so far, each of them over the first `filled` slots."""

    def __init__(self, filled: int = 0) -> None:
        self._columns: OrderedDict[ColumnName, Column] = OrderedDict()
        self.filled = filled

    @property
    def nbytes(self) -> int:
        """About how many bytes of memory they take."""
        return sum(column.nbytes for column in self._columns.values())

    def missing(self, condition: Condition) -> set[ColumnName]:
        """Return the columns that *condition* needs and that are not there; those that are count as used."""
        names = set(columns_of(condition))
        for name in names & self._columns.keys():
            self._columns.move_to_end(name)
        return names - self._columns.keys()

    def install(self, columns: Mapping[ColumnName, Column], *, needed: AbstractSet[ColumnName]) -> None:
        """Take over *columns*, filled like the others; beyond the bounds drop those used longest ago and not *needed*."""
        self._columns.update(columns)
        for name in [name for name in self._columns if name not in needed]:
            if len(self._columns) <= MOST_COLUMNS and self.nbytes <= MOST_BYTES:
                return
            del self._columns[name]

    def extend(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Add further slots to every column."""
        for column in self._columns.values():
            column.extend(documents)
        self.filled += len(documents)

    def restart(self, filled: int) -> None:
        """Drop every column, to be made again over the first *filled* slots when asked for."""
        self._columns.clear()
        self.filled = filled

    def mask(self, condition: Condition, count: int) -> Mask:
        """Return which of the first *count* slots *condition* selects; its columns are all there."""
        match condition:
            case And(parts=parts):
                return reduce(np.logical_and, (self.mask(part, count) for part in parts))
            case Or(parts=parts):
                return reduce(np.logical_or, (self.mask(part, count) for part in parts))
            case Not(part=part):
                return ~self.mask(part, count)
            case _:
                return self._plain_mask(condition, count)

    def _plain_mask(self, condition: Condition, count: int) -> Mask:
        column: Any = self._columns[next(columns_of(condition))]
        match condition:
            case MediaTypeIs(media_type=media_type):
                return column.equal(media_type, count)
            case GenresAny(ids=ids):
                return reduce(np.logical_or, (column.having(genre, count) for genre in ids))
            case GenresAll(ids=ids):
                return reduce(np.logical_and, (column.having(genre, count) for genre in ids))
            case RatingBetween(low=low, high=high):
                return column.between(low, high, count)
            case ReleasedBetween(first=first, last=last):
                return column.between(_day(first), _day(last), count)
            case MetadataEquals(value=value):
                return column.equal([value], count)
            case MetadataIn(values=values):
                return column.equal(values, count)
            case MetadataRange():
                return column.between(condition, count)
            case _:
                return column.exists(count)


def _day(bound: Any) -> int | None:
    return None if bound is None else bound.toordinal()
