"""Conditions as JSON: what files, requests and the command line write, and back.

One object is one condition, told by its first name::

    {"media_type": "movie"}                                  MediaTypeIs
    {"genres_any": [28, 878]}, {"genres_all": [28, 878]}     GenresAny, GenresAll
    {"rating": {"low": 7, "high": 9.5}}                      RatingBetween, either bound may be left out
    {"released": {"first": "1990-01-01", "last": ...}}       ReleasedBetween, either bound may be left out
    {"metadata": "country", "equals": "US"}                  MetadataEquals
    {"metadata": "country", "in": ["US", "CA"]}              MetadataIn
    {"metadata": "runtime", "low": 90, "below": 120}         MetadataRange: low, high, above, below
    {"metadata": "country", "exists": true}                  MetadataExists
    {"and": [...]}, {"or": [...]}, {"not": {...}}            And, Or, Not

An entry that is not understood is refused, never passed over.
"""

import json
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, NoReturn, cast

from media_gateway.errors import InvalidFilterError, shown
from media_gateway.filters import (
    MAX_DEPTH,
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
from media_gateway.json_values import Json

_BOUNDS: Final = ("low", "high", "above", "below")


def condition_from_text(text: str) -> Condition:
    """Return the condition that the JSON *text* describes.

    Raises InvalidFilterError when the text is not JSON, names an entry twice, or describes no condition.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object_of_once_named, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "it nests too deep" if isinstance(error, RecursionError) else str(error)
        raise InvalidFilterError(
            f'the filter {shown(text)} is not JSON ({reason}); expected for example {{"media_type": "movie"}}',
            field="where",
            given=text,
            expected="JSON",
        ) from error
    return condition_from_json(value)


def condition_from_json(value: object) -> Condition:
    """Return the condition that the parsed JSON *value* describes.

    Raises InvalidFilterError for anything but the forms of this module's docstring, nesting over 32 among it.
    """
    return _condition(value, 1)


def condition_to_json(condition: Condition) -> dict[str, Json]:
    """Return *condition* as a JSON value from which `condition_from_json` makes an equal condition.

    Raises InvalidFilterError for a condition of a class that is not one of `media_gateway.filters`.
    """
    match condition:
        case And(parts=parts):
            return {"and": [condition_to_json(part) for part in parts]}
        case Or(parts=parts):
            return {"or": [condition_to_json(part) for part in parts]}
        case Not(part=part):
            return {"not": condition_to_json(part)}
        case MetadataEquals(key=key, value=value):
            return {"metadata": key, "equals": value}
        case MetadataIn(key=key, values=values):
            return {"metadata": key, "in": list(values)}
        case MetadataRange(key=key, bounds=bounds):
            return {"metadata": key, **bounds}
        case MetadataExists(key=key):
            return {"metadata": key, "exists": True}
        case _:
            return _content_condition_to_json(condition)


def _content_condition_to_json(condition: Condition) -> dict[str, Json]:
    match condition:
        case MediaTypeIs(media_type=media_type):
            return {"media_type": media_type}
        case GenresAny(ids=ids):
            return {"genres_any": list(ids)}
        case GenresAll(ids=ids):
            return {"genres_all": list(ids)}
        case RatingBetween(low=low, high=high):
            bounds: dict[str, Json] = {"low": low, "high": high}
            return {"rating": {name: bound for name, bound in bounds.items() if bound is not None}}
        case ReleasedBetween(first=first, last=last):
            days = {"first": first, "last": last}
            return {"released": {name: day.isoformat() for name, day in days.items() if day is not None}}
        case _:
            raise _invalid("condition", condition, "a condition of media_gateway.filters")


def _condition(value: object, depth: int) -> Condition:
    if depth > MAX_DEPTH:
        raise _invalid("nesting", f"{depth} levels", f"at most {MAX_DEPTH} levels")
    entries = _object(value, "condition")
    kind = next((name for name in _KINDS if name in entries), None)
    if kind is None:
        raise _invalid("condition", value, f"an object with one of {', '.join(_KINDS)}")
    if kind == "metadata":
        return _metadata_condition(entries)
    _check_names(entries, {kind})
    given = entries[kind]
    if kind == "and":
        return And(_conditions(given, "and", depth))
    if kind == "or":
        return Or(_conditions(given, "or", depth))
    if kind == "not":
        return Not(_condition(given, depth + 1))
    return _CONTENT[kind](given)


def _conditions(given: object, name: str, depth: int) -> list[Condition]:
    if not isinstance(given, list):
        raise _invalid(name, given, "a list of conditions")
    return [_condition(part, depth + 1) for part in cast("list[object]", given)]


def _metadata_condition(entries: Mapping[str, Any]) -> Condition:
    key = entries["metadata"]
    tests = entries.keys() - {"metadata"}
    if tests == {"equals"}:
        return MetadataEquals(key, entries["equals"])
    if tests == {"in"}:
        return MetadataIn(key, entries["in"])
    if tests == {"exists"}:
        if entries["exists"] is not True:
            raise _invalid("exists", entries["exists"], 'true; for its opposite write {"not": {...}}')
        return MetadataExists(key)
    if tests and tests <= set(_BOUNDS):
        missing = next((name for name in _BOUNDS if name in tests and entries[name] is None), None)
        if missing is not None:
            raise _invalid(missing, None, "a number or text, or no such entry")
        return MetadataRange(key, **{name: entries[name] for name in tests})
    raise _invalid(
        "metadata test", sorted(tests), "one of equals, in, exists, or some of the bounds low, high, above, below"
    )


def _rating(given: object) -> RatingBetween:
    bounds = _object(given, "rating")
    _check_names(bounds, {"low", "high"})
    return RatingBetween(low=bounds.get("low"), high=bounds.get("high"))


def _released(given: object) -> ReleasedBetween:
    bounds = _object(given, "released")
    _check_names(bounds, {"first", "last"})
    days = {name: _day(value, f"released {name}") for name, value in bounds.items() if value is not None}
    return ReleasedBetween(first=days.get("first"), last=days.get("last"))


def _day(given: object, field: str) -> date:
    if isinstance(given, str):
        try:
            day = date.fromisoformat(given)
        except ValueError:
            day = None
        # fromisoformat takes other forms too, such as 20010203 and 2001-W05-6.
        if day is not None and day.isoformat() == given:
            return day
    raise _invalid(field, given, "a day written YYYY-MM-DD")


_CONTENT: Final[dict[str, Callable[[Any], Condition]]] = {
    "media_type": MediaTypeIs,
    "genres_any": GenresAny,
    "genres_all": GenresAll,
    "rating": _rating,
    "released": _released,
}
_KINDS: Final = (*_CONTENT, "metadata", "and", "or", "not")


def _object(given: object, field: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise _invalid(field, given, "an object")
    return cast("Mapping[str, Any]", given)


def _check_names(entries: Mapping[str, Any], known: set[str]) -> None:
    unknown = [name for name in entries if name not in known]
    if unknown:
        raise _invalid("entry", unknown[0], f"only {', '.join(sorted(known))} here; join conditions with and, or, not")


def _invalid(field: str, given: object, expected: str) -> InvalidFilterError:
    return InvalidFilterError(
        f"the filter's {field} is {shown(given)}; expected {expected}", field=field, given=given, expected=expected
    )


def _object_of_once_named(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise ValueError("one object names an entry twice")
    return entries


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")
