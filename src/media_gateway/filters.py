"""Conditions on the metadata of content, the same for every store.

A condition holds or does not hold: where the value that it speaks of is missing or unusable it does not, and `Not`
turns that around. Conditions combine with `&`, `|` and `~`, and travel as JSON::

    MediaTypeIs("movie") & GenresAny([878]) & ~MetadataEquals("country", "US")
    {"and": [{"media_type": "movie"}, {"genres_any": [878]}, {"not": {"metadata": "country", "equals": "US"}}]}

What counts as usable: a media type is the text "movie" or "tv"; genre ids are the whole numbers 0..2^31-1 in the list
`genre_ids`; a rating is the number `vote_average`; a release date is text "YYYY-MM-DD" naming a real day from year 1.
Text compares by code point. Numbers compare by value, so 1 equals 1.0; true equals no number.
"""

import sys
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date
from typing import Any, Final, Literal, TypeAlias

from media_gateway.errors import InvalidFilterError, InvalidMetadataError, shown
from media_gateway.json_values import Json, canonical, unusable_text

MediaType: TypeAlias = Literal["movie", "tv"]
MEDIA_TYPES: Final[tuple[MediaType, ...]] = ("movie", "tv")

MAX_DEPTH: Final = 32
"""How deep conditions may nest."""
MAX_VALUES: Final = 1_000
"""How many values or parts one condition may list."""


class Condition:
    """What a record's metadata must satisfy; one of the classes of this module."""

    def __and__(self, other: "Condition") -> "And":
        return And((*(self.parts if isinstance(self, And) else (self,)), other))

    def __or__(self, other: "Condition") -> "Or":
        return Or((*(self.parts if isinstance(self, Or) else (self,)), other))

    def __invert__(self) -> "Not":
        return Not(self)

    def depth(self) -> int:
        """Return how deep this condition nests; a plain one is 1."""
        return 1


def _invalid(field: str, given: object, expected: str) -> InvalidFilterError:
    return InvalidFilterError(
        f"the filter's {field} is {shown(given)}; expected {expected}", field=field, given=given, expected=expected
    )


def _value(given: object, field: str) -> Json:
    try:
        return canonical(given, field=field)
    except InvalidMetadataError as error:
        raise _invalid(field, given, "a JSON value without NUL characters") from error


def _listed(given: object, field: str) -> list[object]:
    if not isinstance(given, list | tuple | set | frozenset) or not 1 <= len(given) <= MAX_VALUES:  # pyright: ignore[reportUnknownArgumentType]
        raise _invalid(field, given, f"a list of 1 to {MAX_VALUES} values")  # pyright: ignore[reportUnknownArgumentType]
    return list(given)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _metadata_key(given: object) -> str:
    if not isinstance(given, str) or unusable_text(given) is not None:
        raise _invalid("metadata key", given, "text without NUL characters")
    return given


def _genre_ids(given: object, field: str) -> tuple[int, ...]:
    ids = _listed(given, field)
    usable = [number for number in ids if isinstance(number, int) and not isinstance(number, bool)]
    if len(usable) != len(ids) or not all(0 <= number < 2**31 for number in usable):
        raise _invalid(field, given, "whole numbers from 0 to 2^31-1")
    return tuple(sorted(set(usable)))


@dataclass(frozen=True)
class MediaTypeIs(Condition):
    """The record is a film ("movie") or a series ("tv")."""

    media_type: MediaType

    def __post_init__(self) -> None:
        if self.media_type not in MEDIA_TYPES:
            raise _invalid("media_type", self.media_type, "'movie' or 'tv'")


@dataclass(frozen=True)
class GenresAny(Condition):
    """The record has at least one of these TMDB genre ids."""

    ids: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", _genre_ids(self.ids, "genres_any"))


@dataclass(frozen=True)
class GenresAll(Condition):
    """The record has all of these TMDB genre ids."""

    ids: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", _genre_ids(self.ids, "genres_all"))


@dataclass(frozen=True, kw_only=True)
class RatingBetween(Condition):
    """`vote_average` lies between *low* and *high*, both included; None leaves a side open."""

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name, bound in (("low", self.low), ("high", self.high)):
            usable = isinstance(bound, int | float) and not isinstance(bound, bool) and abs(bound) <= sys.float_info.max
            if bound is not None and not usable:
                raise _invalid(f"rating {name}", bound, "a finite number")
            object.__setattr__(self, name, None if bound is None else float(bound))
        if self.low is None and self.high is None:
            raise _invalid("rating", None, "a low or a high bound")


@dataclass(frozen=True, kw_only=True)
class ReleasedBetween(Condition):
    """`release_date` lies between the days *first* and *last*, both included; None leaves a side open."""

    first: date | None = None
    last: date | None = None

    def __post_init__(self) -> None:
        for name, bound in (("first", self.first), ("last", self.last)):
            if bound is not None and type(bound) is not date:
                raise _invalid(f"released {name}", bound, "a date")
        if self.first is None and self.last is None:
            raise _invalid("released", None, "a first or a last day")


@dataclass(frozen=True)
class MetadataEquals(Condition):
    """The metadata's entry *key* is there and equals *value*, any JSON value, as jsonb compares."""

    key: str
    value: Any

    def __post_init__(self) -> None:
        _metadata_key(self.key)
        object.__setattr__(self, "value", _value(self.value, "value"))


@dataclass(frozen=True)
class MetadataIn(Condition):
    """The metadata's entry *key* is there and equals one of *values*."""

    key: str
    values: Sequence[Any]

    def __post_init__(self) -> None:
        _metadata_key(self.key)
        given = _listed(self.values, "values")
        object.__setattr__(self, "values", tuple(_value(value, "values") for value in given))


@dataclass(frozen=True)
class MetadataRange(Condition):
    """The metadata's entry *key* lies between bounds, which are all numbers or all text.

    *low* and *high* are included, *above* and *below* are not; None leaves a side open. Entries of another JSON type
    than the bounds do not pass.
    """

    key: str
    _: KW_ONLY
    low: float | str | None = None
    high: float | str | None = None
    above: float | str | None = None
    below: float | str | None = None

    def __post_init__(self) -> None:
        _metadata_key(self.key)
        kinds: set[type] = set()
        for name in ("low", "high", "above", "below"):
            bound = getattr(self, name)
            if bound is None:
                continue
            if isinstance(bound, bool) or not isinstance(bound, int | float | str):
                raise _invalid(name, bound, "a number or text")
            object.__setattr__(self, name, _value(bound, name))
            kinds.add(str if isinstance(bound, str) else float)
        if len(kinds) != 1:
            raise _invalid("bounds", self.bounds, "at least one bound, all numbers or all text")

    @property
    def bounds(self) -> dict[str, float | str]:
        """The bounds that are given, by name."""
        named = {"low": self.low, "high": self.high, "above": self.above, "below": self.below}
        return {name: bound for name, bound in named.items() if bound is not None}

    @property
    def is_text(self) -> bool:
        """Whether the bounds are text."""
        return any(isinstance(bound, str) for bound in self.bounds.values())


@dataclass(frozen=True)
class MetadataExists(Condition):
    """The metadata has the entry *key*, whatever its value, null included."""

    key: str

    def __post_init__(self) -> None:
        _metadata_key(self.key)


def _parts(given: object, field: str) -> tuple[Condition, ...]:
    parts = _listed(given, field)
    conditions = tuple(part for part in parts if isinstance(part, Condition))
    if len(conditions) != len(parts):
        raise _invalid(field, given, "conditions")
    return conditions


def _checked_depth(condition: Condition) -> None:
    if condition.depth() > MAX_DEPTH:
        raise _invalid("nesting", condition.depth(), f"at most {MAX_DEPTH} levels")


@dataclass(frozen=True)
class And(Condition):
    """Every part holds."""

    parts: Sequence[Condition]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _parts(self.parts, "and"))
        _checked_depth(self)

    def depth(self) -> int:
        return 1 + max(part.depth() for part in self.parts)


@dataclass(frozen=True)
class Or(Condition):
    """At least one part holds."""

    parts: Sequence[Condition]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _parts(self.parts, "or"))
        _checked_depth(self)

    def depth(self) -> int:
        return 1 + max(part.depth() for part in self.parts)


@dataclass(frozen=True)
class Not(Condition):
    """The part does not hold, be it for a missing value."""

    part: Condition

    def __post_init__(self) -> None:
        if not isinstance(self.part, Condition):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _invalid("not", self.part, "a condition")
        _checked_depth(self)

    def depth(self) -> int:
        return 1 + self.part.depth()
