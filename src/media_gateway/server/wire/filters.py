"""The filter JSON of the project, as a schema for the OpenAPI document; `filter_json` reads it."""

from typing import Annotated, Any, Final

from pydantic import SkipValidation, WithJsonSchema

from media_gateway.filters import MEDIA_TYPES

REFERENCE: Final = "#/components/schemas/Filter"
_VALUE: Final = {"type": ["string", "number", "boolean", "null"]}
_BOUND: Final = {"type": ["number", "string"]}
_DAY: Final = {"type": "string", "format": "date"}
_GENRES: Final = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    "minItems": 1,
    "maxItems": 1000,
}
_NAME: Final = {"type": "string", "minLength": 1, "description": "The name of a metadata entry."}


def _object(description: str, properties: dict[str, Any], *required: str, least: int = 1) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
        "minProperties": least,
    }


FILTER_SCHEMA: Final[dict[str, Any]] = {
    "title": "Filter",
    "description": "A condition on the records, told by its first name; and, or and not join conditions.",
    "oneOf": [
        _object("Films or series only.", {"media_type": {"enum": list(MEDIA_TYPES)}}, "media_type"),
        _object("Of any of these genres, TMDB ids.", {"genres_any": _GENRES}, "genres_any"),
        _object("Of all of these genres.", {"genres_all": _GENRES}, "genres_all"),
        _object(
            "Rated between both bounds, of which one may be left out.",
            {"rating": _object("Both ends count.", {"low": {"type": "number"}, "high": {"type": "number"}})},
            "rating",
        ),
        _object(
            "Released between two days, of which one may be left out.",
            {"released": _object("Both ends count.", {"first": _DAY, "last": _DAY})},
            "released",
        ),
        _object("A metadata entry equals a value.", {"metadata": _NAME, "equals": _VALUE}, "metadata", "equals"),
        _object(
            "A metadata entry equals one of some values.",
            {"metadata": _NAME, "in": {"type": "array", "items": _VALUE, "minItems": 1, "maxItems": 1000}},
            "metadata",
            "in",
        ),
        _object(
            "A metadata entry lies within bounds, numbers or texts alike.",
            {"metadata": _NAME, "low": _BOUND, "high": _BOUND, "above": _BOUND, "below": _BOUND},
            "metadata",
            least=2,
        ),
        _object("A metadata entry is there.", {"metadata": _NAME, "exists": {"const": True}}, "metadata", "exists"),
        _object("All of them hold.", {"and": {"type": "array", "items": {"$ref": REFERENCE}, "minItems": 1}}, "and"),
        _object("One of them holds.", {"or": {"type": "array", "items": {"$ref": REFERENCE}, "minItems": 1}}, "or"),
        _object("It does not hold.", {"not": {"$ref": REFERENCE}}, "not"),
    ],
    "examples": [
        {"media_type": "movie"},
        {"and": [{"genres_any": [28, 878]}, {"rating": {"low": 7}}, {"released": {"last": "1999-12-31"}}]},
        {"metadata": "country", "equals": "US"},
    ],
}

STANDS_FOR: Final = "x-stands-for"
"""Marks a schema in whose place a reference is put: pydantic resolves only references to models of its own."""

Where = Annotated[SkipValidation[dict[str, Any]], WithJsonSchema({STANDS_FOR: REFERENCE})]
"""A filter; `condition_from_json` reads it."""
