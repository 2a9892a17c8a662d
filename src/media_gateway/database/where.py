"""From filter conditions to SQL: every value and every metadata key is bound, the text is ours alone.

A WHERE clause passes only what is true, so a missing value (NULL) already counts as false everywhere but under NOT,
where COALESCE makes it so.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import singledispatch
from typing import Any

from media_gateway.database.metadata_fields import field_value, served_type
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
from media_gateway.json_values import canonical_text


@dataclass(frozen=True, kw_only=True)
class Where:
    """A boolean SQL expression, "" for none, and the values of its named placeholders."""

    text: str
    values: dict[str, Any]

    @property
    def identity(self) -> str:
        """Text that is the same for equal expressions with equal values only."""
        return f"{self.text} {self.values!r}"

    @property
    def clause(self) -> str:
        """The expression as a WHERE clause, or nothing."""
        return f"WHERE {self.text}" if self.text else ""


class _Values:
    """Collects values under names that the statement refers to."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {}

    def bound(self, value: object, sql_type: str) -> str:
        name = f"f{len(self.named)}"
        self.named[name] = value
        return f"%({name})s::{sql_type}"


def where_clause(condition: Condition | None, excluded_keys: tuple[str, ...] = ()) -> Where:
    """Return the SQL of *condition*, without the records of *excluded_keys*."""
    values = _Values()
    parts = [] if condition is None else [_sql(condition, values)]
    if excluded_keys:
        parts.append(f"id <> ALL({values.bound(list(excluded_keys), 'text[]')})")
    return Where(text=" AND ".join(parts), values=values.named)


@singledispatch
def _sql(condition: Condition, _values: _Values) -> str:
    raise TypeError(f"no SQL for the condition {type(condition).__name__}")


@_sql.register
def _(condition: MediaTypeIs, values: _Values) -> str:
    return f"media_type = {values.bound(condition.media_type, 'text')}"


@_sql.register
def _(condition: GenresAny, values: _Values) -> str:
    return f"genre_ids && {values.bound(list(condition.ids), 'integer[]')}"


@_sql.register
def _(condition: GenresAll, values: _Values) -> str:
    return f"genre_ids @> {values.bound(list(condition.ids), 'integer[]')}"


@_sql.register
def _(condition: RatingBetween, values: _Values) -> str:
    return _between("vote_average", condition.low, condition.high, "double precision", values)


@_sql.register
def _(condition: ReleasedBetween, values: _Values) -> str:
    return _between("release_date", condition.first, condition.last, "date", values)


def _between(column: str, low: object, high: object, sql_type: str, values: _Values) -> str:
    parts = [
        f"{column} {operator} {values.bound(bound, sql_type)}"
        for operator, bound in ((">=", low), ("<=", high))
        if bound is not None
    ]
    return f"({' AND '.join(parts)})"


@_sql.register
def _(condition: MetadataEquals, values: _Values) -> str:
    return _equals(condition.key, condition.value, values)


@_sql.register
def _(condition: MetadataIn, values: _Values) -> str:
    return f"({' OR '.join(_equals(condition.key, value, values) for value in condition.values)})"


def _equals(key: str, value: Any, values: _Values) -> str:
    # Containment is what the index on metadata finds; equality then excludes what merely contains.
    pair = values.bound(canonical_text({key: value}), "jsonb")
    entry = f"metadata -> {values.bound(key, 'text')}"
    return f"(metadata @> {pair} AND {entry} = {values.bound(canonical_text(value), 'jsonb')})"


_OPERATORS = {"low": ">=", "high": "<=", "above": ">", "below": "<"}


@_sql.register
def _(condition: MetadataRange, values: _Values) -> str:
    key = values.bound(condition.key, "text")
    served = served_type(condition)
    if served is not None:
        return f"({_bounded(condition, field_value(served, key), values)})"
    kind, given = ("string", f'(metadata ->> {key}) COLLATE "C"')
    if not condition.is_text:
        kind, given = ("number", f"(metadata ->> {key})::numeric")
    # CASE keeps the cast from values of other types; AND would not promise the order.
    bounds = _bounded(condition, given, values)
    return f"CASE WHEN jsonb_typeof(metadata -> {key}) = '{kind}' THEN {bounds} ELSE false END"


def _bounded(condition: MetadataRange, given: str, values: _Values) -> str:
    sql_type = "text" if condition.is_text else "numeric"
    return " AND ".join(
        f"{given} {_OPERATORS[name]} {values.bound(_bound(bound), sql_type)}"
        for name, bound in condition.bounds.items()
    )


def _bound(value: float | str) -> Decimal | str:
    return value if isinstance(value, str) else Decimal(repr(value))


@_sql.register
def _(condition: MetadataExists, values: _Values) -> str:
    return f"jsonb_exists(metadata, {values.bound(condition.key, 'text')})"


@_sql.register
def _(condition: And, values: _Values) -> str:
    return f"({' AND '.join(_sql(part, values) for part in condition.parts)})"


@_sql.register
def _(condition: Or, values: _Values) -> str:
    return f"({' OR '.join(_sql(part, values) for part in condition.parts)})"


@_sql.register
def _(condition: Not, values: _Values) -> str:
    return f"NOT coalesce({_sql(condition.part, values)}, false)"
