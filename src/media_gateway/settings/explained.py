"""What pydantic found, in one sentence."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import AliasChoices, ValidationError
from pydantic.fields import FieldInfo

from media_gateway.errors import SettingsError, shown


def explained(error: ValidationError, fields: Mapping[str, FieldInfo]) -> SettingsError:
    """Return the first finding of *error*, about one of *fields*; a secret is never quoted."""
    finding = error.errors(include_url=False, include_context=False)[0]
    name = str(finding["loc"][0]) if finding["loc"] else "settings"
    field = fields.get(name)
    secret = field is not None and "Secret" in str(field.annotation)
    given = "(hidden)" if secret else finding.get("input")
    if finding["type"] == "literal_error":
        message = f"{name} is {shown(given)}; expected {_choices(name, fields)}"
    elif finding["type"] == "value_error":
        message = finding["msg"].removeprefix("Value error, ")
    else:
        message = f"{name} is {shown(given)}; {finding['msg'][0].lower()}{finding['msg'][1:]}"
    return SettingsError(message, field=name, given=given, expected=finding["msg"])


def _choices(name: str, fields: Mapping[str, FieldInfo]) -> str:
    for field_name, field in fields.items():
        aliases = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else []
        if name == field_name or name in aliases:
            return " or ".join(repr(value) for value in _values(field.annotation))
    return "another value"


def _values(annotation: Any) -> Iterator[Any]:
    """Yield what a Literal allows, also one beside None."""
    for part in get_args(annotation):
        if isinstance(part, str):
            yield part
        else:
            yield from _values(part)
