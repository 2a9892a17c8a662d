"""Metadata by column: for each slot the one value that a kind of condition asks for, ready for numpy.

Columns are made when a filter first needs them and kept up to date from then on. Slots are only ever added to them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from media_gateway.filters import MEDIA_TYPES
from media_gateway.models import usable_date
from media_gateway.stores.memory.records import Mask

_LARGEST_GENRE: Final = 2**31 - 1


class GrowingArray:
    """An array with room at its end."""

    def __init__(self, kind: type[np.generic]) -> None:
        self._items: npt.NDArray[Any] = np.empty(16, dtype=kind)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, items: Sequence[Any]) -> None:
        """Add *items* at the end."""
        needed = self._count + len(items)
        if needed > len(self._items):
            larger = np.empty(max(needed, 2 * len(self._items)), dtype=self._items.dtype)
            larger[: self._count] = self._items[: self._count]
            self._items = larger
        self._items[self._count : needed] = items
        self._count = needed

    def take(self, places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the items at *places*, all of which there are."""
        return self._items.take(places)

    @property
    def items(self) -> npt.NDArray[Any]:
        """The items, as a view."""
        return self._items[: self._count]

    @property
    def nbytes(self) -> int:
        """The bytes held, room included."""
        return self._items.nbytes


class Column(Protocol):
    """One kind of value by slot."""

    def extend(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Add the values of further slots, whose metadata is *documents*."""
        ...

    @property
    def nbytes(self) -> int:
        """About how many bytes of memory the column takes."""
        ...


class MediaTypeColumn:
    """`media_type`: 0 where it is neither of the two."""

    _CODES: Final[Mapping[str, int]] = {name: code for code, name in enumerate(MEDIA_TYPES, 1)}

    def __init__(self) -> None:
        self._codes = GrowingArray(np.int8)

    def extend(self, documents: Iterable[Mapping[str, Any]]) -> None:
        values = [document.get("media_type") for document in documents]
        self._codes.extend([self._CODES.get(value, 0) if isinstance(value, str) else 0 for value in values])

    @property
    def nbytes(self) -> int:
        return self._codes.nbytes

    def equal(self, media_type: str, count: int) -> Mask:
        """Return which of the first *count* slots are of *media_type*."""
        return self._codes.items[:count] == self._CODES[media_type]


class RatingColumn:
    """`vote_average` as a double, NaN where it is not a number."""

    def __init__(self) -> None:
        self._ratings = GrowingArray(np.float64)

    def extend(self, documents: Iterable[Mapping[str, Any]]) -> None:
        self._ratings.extend([_rating(document.get("vote_average")) for document in documents])

    @property
    def nbytes(self) -> int:
        return self._ratings.nbytes

    def between(self, low: float | None, high: float | None, count: int) -> Mask:
        """Return which of the first *count* slots are rated from *low* to *high*."""
        ratings = self._ratings.items[:count]
        # NaN compares false with both, and at least one side is given.
        above = None if low is None else ratings >= low
        below = None if high is None else ratings <= high
        return _both(above, below)


class ReleaseColumn:
    """`release_date` as a day number, 0 where it names no day."""

    def __init__(self) -> None:
        self._days = GrowingArray(np.int32)

    def extend(self, documents: Iterable[Mapping[str, Any]]) -> None:
        dates = [usable_date(document.get("release_date")) for document in documents]
        self._days.extend([0 if day is None else day.toordinal() for day in dates])

    @property
    def nbytes(self) -> int:
        return self._days.nbytes

    def between(self, first: int | None, last: int | None, count: int) -> Mask:
        """Return which of the first *count* slots were released on the days from *first* to *last*."""
        days = self._days.items[:count]
        above = days >= max(first or 1, 1)
        return _both(above, None if last is None else days <= last)


class GenresColumn:
    """`genre_ids`: for each genre the slots that have it."""

    def __init__(self) -> None:
        self._slots: dict[int, GrowingArray] = {}
        self._count = 0

    def extend(self, documents: Iterable[Mapping[str, Any]]) -> None:
        added: dict[int, list[int]] = {}
        for document in documents:
            for genre in _genres(document.get("genre_ids")):
                added.setdefault(genre, []).append(self._count)
            self._count += 1
        for genre, slots in added.items():
            self._slots.setdefault(genre, GrowingArray(np.int32)).extend(slots)

    @property
    def nbytes(self) -> int:
        return sum(slots.nbytes for slots in self._slots.values())

    def having(self, genre: int, count: int) -> Mask:
        """Return which of the first *count* slots have *genre*."""
        mask = np.zeros(count, dtype=np.bool_)
        slots = self._slots.get(genre)
        if slots is not None:
            # Slots are ascending: those behind *count* are at the end.
            mask[slots.items[: np.searchsorted(slots.items, count)]] = True
        return mask


def _both(first: Mask | None, second: Mask | None) -> Mask:
    if first is None or second is None:
        given = second if first is None else first
        if given is None:
            raise ValueError("a range without bounds")
        return given
    return first & second


def _rating(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return float("nan")


def _genres(value: object) -> set[int]:
    if not isinstance(value, list):
        return set()
    numbers: list[object] = value  # pyright: ignore[reportUnknownVariableType]
    whole = [int(one) for one in numbers if _is_whole(one)]  # pyright: ignore[reportArgumentType]
    return {one for one in whole if 0 <= one <= _LARGEST_GENRE}


def _is_whole(value: object) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool)
    return isinstance(value, float) and value.is_integer()
