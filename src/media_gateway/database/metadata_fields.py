"""Fields of metadata that have an index of their own: their names, and the value of a field as SQL has it.

The index and the conditions must be written alike, or the server does not see that the one serves the other. No write may
ever fail for the index, whose entries have room for 2,704 bytes, while jsonb takes texts of megabytes and numbers of
100,000 digits. So both speak of a value cut short, in a way in which no comparison with a plain bound comes out otherwise:

- Text is cut after 500 letters. A bound of fewer letters differs from a longer text within them, or by being shorter.
- A number of 1e30 or beyond, either way, becomes infinite. What has more than 30 decimals becomes the middle between its two
  neighbours that have 30: no bound that is 30 decimals long lies in between.

Any other bound is compared with the value itself, without an index.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final, Literal, TypeAlias, cast

from psycopg import sql

from media_gateway.database.statements import trusted
from media_gateway.errors import InvalidRequestError, shown
from media_gateway.filters import Condition, MetadataEquals, MetadataRange
from media_gateway.json_values import unusable_text

FieldType: TypeAlias = Literal["number", "text"]
FIELD_TYPES: Final[tuple[FieldType, ...]] = ("number", "text")

INDEX_PREFIX: Final = "content_vectors_field_"
"""What the names of these indexes begin with."""
_MOST_NAME_BYTES: Final = 200
"""The name stands in the index's definition several times, for which the catalogue has the room of a page."""
_LETTERS: Final = 500
_DIGITS: Final = 30
_TEXT: Final = f"CASE WHEN jsonb_typeof(metadata -> {{key}}) = 'string' THEN left(metadata ->> {{key}}, {_LETTERS}) END"
_NUMBER: Final = (
    "CASE WHEN jsonb_typeof(metadata -> {key}) = 'number' THEN CASE "
    f"WHEN length(metadata ->> {{key}}) <= {_DIGITS} THEN (metadata -> {{key}})::numeric "
    f"WHEN abs((metadata -> {{key}})::numeric) >= 1e{_DIGITS} "
    "THEN sign((metadata -> {key})::numeric) * 'Infinity'::numeric "
    f"ELSE trunc((metadata -> {{key}})::numeric, {_DIGITS}) + 5e-{_DIGITS + 1} * "
    f"sign((metadata -> {{key}})::numeric - trunc((metadata -> {{key}})::numeric, {_DIGITS})) END END"
)
_VALUES: Final[dict[FieldType, str]] = {"number": f"({_NUMBER})", "text": f'({_TEXT}) COLLATE "C"'}


@dataclass(frozen=True, kw_only=True)
class MetadataField:
    """The entry *name* of metadata, where it is of *type*.

    Raises InvalidRequestError for another type, and for a name of over 200 bytes or that no metadata can have.
    """

    name: str
    type: FieldType

    def __post_init__(self) -> None:
        if self.type not in FIELD_TYPES:
            raise InvalidRequestError(
                f"the type of a field is {shown(self.type)}; expected 'number' or 'text'", field="type", given=self.type
            )
        if unusable_text(self.name) is not None or len(self.name.encode()) > _MOST_NAME_BYTES:
            raise InvalidRequestError(
                f"the name of a field is {shown(self.name)}; expected text of at most {_MOST_NAME_BYTES} bytes without "
                "NUL characters",
                field="name",
                given=self.name,
            )

    @property
    def index_name(self) -> str:
        """The name of the field's index: any two fields have two names."""
        return f"{INDEX_PREFIX}{self.type}_{blake2b(self.name.encode(), digest_size=8).hexdigest()}_idx"

    @property
    def note(self) -> str:
        """The comment of the field's index, by which it is known what it is of."""
        return json.dumps({"field": self.name, "type": self.type}, ensure_ascii=False)

    def statement(self) -> sql.Composed:
        """Return the statement that makes the index while the table is used."""
        template = f"CREATE INDEX CONCURRENTLY {{index}} ON content_vectors (({_VALUES[self.type]}))"
        key = sql.SQL("{}::text").format(sql.Literal(self.name))
        return sql.SQL(trusted(template)).format(index=sql.Identifier(self.index_name), key=key)


def noted_field(index: str, comment: str | None) -> MetadataField | None:
    """Return the field that the *index* of that name is of by its *comment*, None where that says something else."""
    try:
        values = cast("dict[str, Any]", json.loads(comment or ""))
        field = MetadataField(name=values["field"], type=values["type"])
    except (ValueError, KeyError, TypeError, AttributeError, InvalidRequestError):
        return None
    return field if field.index_name == index else None


def field_value(kind: FieldType, key: str) -> str:
    """Return the SQL of a field's value, cut short, NULL for one of another type; *key* is the SQL of its name."""
    return _VALUES[kind].format(key=key)


def served_type(condition: MetadataRange) -> FieldType | None:
    """Return the type of the index that can serve *condition*, None where its bounds are too long for one."""
    if condition.is_text:
        return "text" if all(len(str(bound)) < _LETTERS for bound in condition.bounds.values()) else None
    return "number" if all(_is_plain(Decimal(repr(bound))) for bound in condition.bounds.values()) else None


def field_of(condition: Condition) -> MetadataField | None:
    """Return the field whose statistics tell of *condition*, None where there can be none."""
    kind: FieldType | None = None
    name = ""
    if isinstance(condition, MetadataRange):
        kind, name = served_type(condition), condition.key
    elif isinstance(condition, MetadataEquals):
        kind, name = _type_of(condition.value), condition.key
    is_nameable = kind is not None and len(name.encode()) <= _MOST_NAME_BYTES
    return MetadataField(name=name, type=kind) if kind is not None and is_nameable else None


def _type_of(value: Any) -> FieldType | None:
    if isinstance(value, str):
        return "text" if len(value) < _LETTERS else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "number" if is_number and _is_plain(Decimal(repr(value))) else None


def _is_plain(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return abs(number) < 10**_DIGITS and isinstance(exponent, int) and exponent >= -_DIGITS
