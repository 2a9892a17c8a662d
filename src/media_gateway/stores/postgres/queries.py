"""The statements of `sql/queries.sql`, loaded once; a missing one fails on import."""

import re
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Final, LiteralString

from media_gateway.database.engine import Engine
from media_gateway.database.statements import filled


@dataclass(frozen=True, kw_only=True)
class Queries:
    """One statement a field; what is left in double braces is composed from code of ours, never from a caller's text."""

    search_nearest: LiteralString
    search_index: LiteralString
    search_exact: LiteralString
    search_walk: LiteralString
    walk_places: LiteralString
    drawn: LiteralString
    search_counted: LiteralString
    counted: LiteralString
    sampled: LiteralString
    index_order: LiteralString
    halfvec_order: LiteralString
    index_there: LiteralString
    situation: LiteralString
    latest_profile: LiteralString
    statistics: LiteralString
    field_statistics: LiteralString
    get: LiteralString
    scan: LiteralString
    upsert: LiteralString
    delete: LiteralString
    stats: LiteralString


def statements(file: str) -> dict[str, str]:
    """Return the statements of *file* in `sql/` by their names, without their comments."""
    text = (files("media_gateway.stores.postgres") / "sql" / file).read_text(encoding="utf-8")
    parts = re.split(r"^-- (\w+) --$", text, flags=re.MULTILINE)[1:]
    named = dict(zip(parts[::2], parts[1::2], strict=True))
    return {name: re.sub(r"^--.*\n?", "", body, flags=re.MULTILINE).strip() for name, body in named.items()}


_STATEMENTS: Final = statements("queries.sql")
_LATE: Final = (
    "where",
    "passes",
    "passing",
    "by_index",
    "order",
    "walk",
    "fetch",
    "limit",
    "turn",
    "rows",
    "percent",
    "most",
    "dimension",
    "index",
)


@cache
def queries_for(engine: Engine) -> Queries:
    """Return the statements with the names that *engine* gives its parts."""
    values = {
        "vector_type": engine.vector_type,
        "access_method": engine.access_method,
        "cosine_ops": engine.cosine_ops,
        "extension": engine.name,
        **{name: f"{{{{{name}}}}}" for name in _LATE},
    }
    statements: dict[str, LiteralString] = {
        field.name: filled(_STATEMENTS[field.name], values) for field in fields(Queries)
    }
    return Queries(**statements)


for _field in fields(Queries):
    if _field.name not in _STATEMENTS:
        raise RuntimeError(f"sql/queries.sql has no statement {_field.name}")
