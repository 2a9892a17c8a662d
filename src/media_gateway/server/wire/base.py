"""What the models of requests and answers share."""

from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation, WithJsonSchema

from media_gateway.models import MAX_KEY_BYTES

EXAMPLE_KEY: Final = "movie-603"


class Wire(BaseModel):
    """A JSON object of a request: entries that are not known are refused, and a text is no number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Shown(BaseModel):
    """A JSON object of an answer; it documents, and is not gone through when an answer is made."""

    model_config = ConfigDict(frozen=True)


def _whole(value: object) -> object:
    return int(value) if type(value) is float and value.is_integer() else value


def _flag(value: object) -> object:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _is_flag(value: object) -> object:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004  pydantic makes findings of ValueErrors
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
"""A whole number, also when it is written 10.0."""
Flag = Annotated[
    bool, BeforeValidator(lambda value: _is_flag(_flag(value))), WithJsonSchema({"type": "boolean", "default": False})
]
"""true or false in a query."""
Key = Annotated[str, Field(min_length=1, max_length=MAX_KEY_BYTES)]
Numbers = Annotated[
    SkipValidation[list[float]],
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 1}),
]
"""A vector; its numbers are checked all at once by numpy, not one by one."""

__all__ = ["EXAMPLE_KEY", "Flag", "Key", "Numbers", "Shown", "Whole", "Wire"]
