"""Which items are worth scoring for a user: the nearest by each kind of vector, and the popular ones."""

import re
from collections.abc import Sequence
from typing import Any, Final, LiteralString

import numpy as np
from psycopg import AsyncConnection

from media_gateway.database.engine import Engine
from media_gateway.database.statements import filled
from media_gateway.database.where import Where
from media_gateway.learning.interests.arrays import Ids, Numbers
from media_gateway.learning.interests.scoring import UserProfile
from media_gateway.learning.postgres.near import FEW_ITEMS
from media_gateway.learning.postgres.packing import Packed, integers, layout, unpacked

NEAREST: Final = {"behaviour": 100, "ials": 100, "text": 50}
"""Candidates of each kind of vector, and how far the index is walked for them; text decides least, and walks longest."""
POPULAR: Final = 100
"""Candidates of each popularity."""
_WALK: Final = "4000"
"""Where it is left, so that a filter that hardly anything passes costs some milliseconds; popular ones fill the list then."""
_LOOKED_AT: Final = 2_000
"""Popular items that are looked at for those that pass a filter."""

# Settings are made by the statement that needs them, before it touches an index, and end with it.
_WIDE: Final = """(SELECT set_config('{{ef_search}}', '{{nearest}}', true){{bounded}}) IS NOT NULL"""
_BOUNDED: Final = " || set_config('{{walk_limit}}', %(walk)s, true)"
_HEATS: Final = """float8send(coalesce(i.heat_lasting, '-Infinity')) || float8send(coalesce(i.heat_recent, '-Infinity'))
    || float8send(coalesce(i.heat_newest, '-Infinity'))"""
# What an index yields is looked up row by row: a subquery in its condition keeps the planner from joining whole tables, and
# so does an array in the place of a join with the candidates.
_NEAR: Final = """
WITH behaviour AS (
    SELECT b.item FROM {{near_behaviour}} AS b
    WHERE {{wide_behaviour}} AND b.item <> ALL(%(seen)s) {{passes_b}}
    ORDER BY b.vector <#> %(behaviour)s LIMIT {{nearest_behaviour}}
), ials AS (
    SELECT f.item FROM {{near_ials}} AS f
    WHERE {{wide_ials}} AND f.item <> ALL(%(seen)s) {{passes_f}}
    ORDER BY f.vector <#> %(ials)s LIMIT {{nearest_ials}}
), text AS (
    SELECT i.number AS item FROM (
        SELECT c.id FROM content_vectors AS c
        WHERE {{wide_text}} AND coalesce((SELECT number FROM interest_items WHERE key = c.id), 0) <> ALL(%(seen)s) {{where}}
        ORDER BY c.vector <=> %(text)s LIMIT {{nearest_text}}
    ) AS near JOIN interest_items AS i ON i.key = near.id
), {{popular_ones}}, candidates AS (
    SELECT item FROM behaviour UNION SELECT item FROM ials UNION SELECT item FROM text
    UNION SELECT item FROM lasting UNION SELECT item FROM recent UNION SELECT item FROM newest
)
SELECT string_agg(
    int4send(i.number) || {{heats}} || float8send(-(v.shown <#> %(behaviour)s))
    || float8send(coalesce(-(v.factors <#> %(ials)s), 0)) || float8send(-(c.vector <#> %(text)s)), '')
FROM interest_items AS i JOIN content_vectors AS c ON c.id = i.key JOIN interest_vectors AS v ON v.item = i.number
WHERE i.number = ANY(ARRAY(SELECT item FROM candidates))
"""
_POPULAR: Final = """
WITH {{popular_ones}}, candidates AS (
    SELECT item FROM lasting UNION SELECT item FROM recent UNION SELECT item FROM newest
)
SELECT string_agg(int4send(i.number) || {{heats}} || float8send(0) || float8send(0) || float8send(0), '')
FROM interest_items AS i JOIN content_vectors AS c ON c.id = i.key
WHERE i.number = ANY(ARRAY(SELECT item FROM candidates))
"""
_POPULAR_ONE: Final = """{{name}} AS (
    SELECT i.number AS item FROM (
        SELECT number FROM interest_items
        WHERE heat_{{name}} IS NOT NULL AND number <> ALL(%(seen)s) ORDER BY heat_{{name}} DESC NULLS LAST LIMIT {{looked_at}}
    ) AS i WHERE true {{passes_i}} LIMIT {{popular}}
)"""
_PASSES: Final = """
    AND (SELECT true FROM interest_items AS j JOIN content_vectors AS c ON c.id = j.key WHERE j.number = {{item}} AND {{where}})
"""
_FEW: Final = {
    "near_behaviour": "(SELECT item, shown AS vector FROM interest_vectors)",
    "near_ials": "(SELECT item, factors AS vector FROM interest_vectors WHERE factors IS NOT NULL)",
}
_MANY: Final = {"near_behaviour": "interest_near_behaviour", "near_ials": "interest_near_ials"}
_LATER: Final = {name: f"{{{{{name}}}}}" for name in re.findall(r"{{(\w+)}}", _NEAR)}
# Where too few are near or popular, as before anybody liked anything: the best rated records, known or not.
_REST: Final = """
SELECT c.id, c.metadata FROM content_vectors AS c LEFT JOIN interest_items AS i ON i.key = c.id
WHERE (i.number IS NULL OR i.number <> ALL(%(seen)s)) AND c.id <> ALL(%(keys)s) {{where}}
ORDER BY c.vote_average DESC NULLS LAST, c.id LIMIT %(limit)s
"""
_ROW: Final = layout("item", "lasting:f8", "recent:f8", "newest:f8", "behaviour:f8", "ials:f8", "text:f8")


class Candidates:
    """Finds candidates by *engine*'s indexes."""

    def __init__(self, engine: Engine) -> None:
        bounded = filled(_BOUNDED, {"walk_limit": engine.walk_limit}) if engine.walk_limit else ""
        names = {"ef_search": engine.ef_search, "bounded": bounded}
        self._names = {"heats": _HEATS, "popular": str(POPULAR)}
        for kind, count in NEAREST.items():
            self._names[f"nearest_{kind}"] = str(count)
            self._names[f"wide_{kind}"] = filled(_WIDE, {**names, "nearest": str(count)})

    async def near(
        self, connection: AsyncConnection[Any], user: UserProfile, seen: Ids, where: Where, *, items: float
    ) -> Packed:
        """Return candidates for *user*: number, heats, and inner products with the user's three vectors.

        None is among *seen*, and all pass *where*. There are so many *items* in all. The text's products are those of vectors that are not centred.
        """
        values = {
            "behaviour": user.behaviour.astype(np.float32),
            "ials": user.ials.astype(np.float32),
            "text": user.text.astype(np.float32),
            "walk": _WALK,
        }
        template = filled(_NEAR, {**_LATER, **(_FEW if items <= FEW_ITEMS else _MANY)})
        return await self._found(connection, template, values, seen, where)

    async def popular(self, connection: AsyncConnection[Any], seen: Ids, where: Where) -> Packed:
        """Return the popular ones alone, their products 0."""
        return await self._found(connection, _POPULAR, {}, seen, where)

    async def rest(
        self, connection: AsyncConnection[Any], seen: Ids, keys: Sequence[str], where: Where, limit: int
    ) -> list[tuple[str, dict[str, Any]]]:
        """Return key and metadata of *limit* records that pass *where*, the best rated first, neither *seen* nor *keys*."""
        statement = filled(_REST, {"where": f"AND {where.text}" if where.text else ""})
        values = {**where.values, "seen": integers(seen), "keys": list(keys), "limit": limit}
        cursor = await connection.execute(statement, values, prepare=False, binary=True)
        return await cursor.fetchall()

    async def _found(
        self, connection: AsyncConnection[Any], template: str, values: dict[str, Any], seen: Ids, where: Where
    ) -> Packed:
        cursor = await connection.execute(
            self._statement(template, where.text),
            {**values, **where.values, "seen": integers(seen)},
            # How selective a filter is shows in its values only, so a statement with one is planned with them each time.
            prepare=False if where.text else None,
            binary=True,
        )
        (packed,) = await cursor.fetchone() or (None,)
        return unpacked(packed, _ROW)

    def _statement(self, template: str, where: str) -> LiteralString:
        names = dict(self._names)
        names["where"] = f"AND {where}" if where else ""
        for letter, column in (("b", "b.item"), ("f", "f.item"), ("i", "i.number")):
            passes = filled(_PASSES, {"item": column, "where": where}) if where else ""
            names[f"passes_{letter}"] = passes
        names["looked_at"] = str(_LOOKED_AT if where else POPULAR)
        ones = [filled(_POPULAR_ONE, {**names, "name": name}) for name in ("lasting", "recent", "newest")]
        return filled(template, {**names, "popular_ones": ", ".join(ones)})


def heats_of(rows: Packed) -> Numbers:
    """Return the heats (n, 3) of candidates."""
    return np.column_stack([rows[name].astype(np.float64) for name in ("lasting", "recent", "newest")])


def products_of(rows: Packed, user: UserProfile, text_mean: Numbers) -> Numbers:
    """Return the inner products (n, 3) of candidates with *user*'s vectors, those of text centred by *text_mean*."""
    text = rows["text"].astype(np.float64) - float(text_mean @ user.text)
    return np.column_stack((rows["behaviour"].astype(np.float64), rows["ials"].astype(np.float64), text))
