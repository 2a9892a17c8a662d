"""Which items are worth scoring for a user: the nearest by each kind of vector, and the popular ones."""

from dataclasses import dataclass
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
POPULAR: Final = {"lasting": 100, "recent": 100, "newest": 100}
"""Candidates of each popularity."""
_FACTORS: Final = ((0.05, 0.2), (0.2, 0.5), (0.5, 1.0), (1.0, 1.5))
"""How much of its candidates a source is asked for, up to each share in all weight: one with little seldom brings anything
into a short list, one with most of it nearly all. In steps, so that weights that move do not make new statements."""
_SHORT: Final = 50
"""Longer lists get all candidates of all sources."""
_SPARE: Final = 4
"""A walk is wider by a quarter where as much was seen: what is near a user was often seen, and a second walk costs as much."""
_WALK: Final = "4000"
"""Where it is left, so that a filter that hardly anything passes costs some milliseconds; popular ones fill the list then."""
_LOOKED_AT: Final = 2_000
"""Popular items that are looked at for those that pass a filter."""

# Settings are made by the statement that needs them, before it touches an index, and end with it.
_WIDE: Final = """(SELECT set_config('{{ef_search}}', %({{width}})s, true){{bounded}}) IS NOT NULL"""
_BOUNDED: Final = " || set_config('{{walk_limit}}', %(walk)s, true)"
_HEATS: Final = """float8send(coalesce(i.heat_lasting, '-Infinity')) || float8send(coalesce(i.heat_recent, '-Infinity'))
    || float8send(coalesce(i.heat_newest, '-Infinity'))"""
# What an index yields is looked up row by row: a subquery in its condition keeps the planner from joining whole tables, and
# so does an array in the place of a join with the candidates.
_NEAR: Final = """
WITH behaviour AS (
    SELECT b.item FROM {{near_behaviour}} AS b
    WHERE {{wide_behaviour}} AND b.item <> ALL(%(seen)s) {{passes_b}}
    ORDER BY b.vector <#> %(behaviour)s LIMIT {{most_behaviour}}
), ials AS (
    SELECT f.item FROM {{near_ials}} AS f
    WHERE {{wide_ials}} AND f.item <> ALL(%(seen)s) {{passes_f}}
    ORDER BY f.vector <#> %(ials)s LIMIT {{most_ials}}
), text AS (
    SELECT i.number AS item FROM (
        SELECT c.id FROM content_vectors AS c
        WHERE {{wide_text}} AND coalesce((SELECT number FROM interest_items WHERE key = c.id), 0) <> ALL(%(seen)s) {{where}}
        ORDER BY c.vector <=> %(text)s LIMIT {{most_text}}
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
    ) AS i WHERE true {{passes}} LIMIT {{most}}
)"""
_PASSES: Final = """
    AND (SELECT true FROM interest_items AS j JOIN content_vectors AS c ON c.id = j.key WHERE j.number = {{item}} AND {{where}})
"""
_MANY: Final = _NEAR.replace("{{near_behaviour}}", "interest_near_behaviour").replace(
    "{{near_ials}}", "interest_near_ials"
)
_FEW: Final = _NEAR.replace("{{near_behaviour}}", "(SELECT item, shown AS vector FROM interest_vectors)").replace(
    "{{near_ials}}", "(SELECT item, factors AS vector FROM interest_vectors WHERE factors IS NOT NULL)"
)
_ROW: Final = layout("item", "lasting:f8", "recent:f8", "newest:f8", "behaviour:f8", "ials:f8", "text:f8")


@dataclass(frozen=True)
class Effort:
    """How many candidates each source is asked for, in the order of `fusion.SOURCES`."""

    counts: tuple[int, ...] = (*NEAREST.values(), *POPULAR.values())

    @classmethod
    def of(cls, weights: Numbers, k: int) -> "Effort":
        """Return what is worth it for *k* items by the *weights* (s,) of the sources."""
        everything = cls()
        if k > _SHORT:
            return everything
        shares = (weights / max(float(weights.sum()), 1e-9)).tolist()
        factors = [next((factor for most, factor in _FACTORS if share < most), _FACTORS[-1][1]) for share in shares]
        return cls(tuple(round(count * factor) for count, factor in zip(everything.counts, factors, strict=True)))

    def named(self) -> dict[str, int]:
        """Return the counts by the names that statements have for the sources."""
        return dict(zip((*NEAREST, *POPULAR), self.counts, strict=True))


class Candidates:
    """Finds candidates by *engine*'s indexes."""

    def __init__(self, engine: Engine) -> None:
        bounded = filled(_BOUNDED, {"walk_limit": engine.walk_limit}) if engine.walk_limit else ""
        self._names = {"heats": _HEATS}
        for kind in NEAREST:
            names = {"ef_search": engine.ef_search, "bounded": bounded, "width": f"width_{kind}"}
            self._names[f"wide_{kind}"] = filled(_WIDE, names)
        self._unfiltered: dict[tuple[str, Effort], LiteralString] = {}

    async def near(
        self,
        connection: AsyncConnection[Any],
        user: UserProfile,
        seen: Ids,
        where: Where,
        *,
        items: float,
        effort: Effort,
    ) -> Packed:
        """Return candidates for *user*: number, heats, and inner products with the user's three vectors.

        None is among *seen*, and all pass *where*. There are so many *items* in all. The text's products are those of vectors that are not centred.
        """
        is_many = items > FEW_ITEMS
        effort = effort if is_many else Effort()
        counts = effort.named()
        values = {
            "behaviour": user.behaviour.astype(np.float32),
            "ials": user.ials.astype(np.float32),
            "text": user.text.astype(np.float32),
            "walk": _WALK,
            "seen": integers(seen),
            **where.values,
            **{f"width_{kind}": str(counts[kind] + min(len(seen), counts[kind] // _SPARE)) for kind in NEAREST},
        }
        statement = self._statement(_MANY if is_many else _FEW, where.text, effort)
        return await self._found(connection, statement, values, is_filtered=bool(where.text))

    async def popular(self, connection: AsyncConnection[Any], seen: Ids, where: Where) -> Packed:
        """Return the popular ones alone, their products 0."""
        statement = self._statement(_POPULAR, where.text, Effort())
        values = {"seen": integers(seen), **where.values}
        return await self._found(connection, statement, values, is_filtered=bool(where.text))

    async def _found(
        self, connection: AsyncConnection[Any], statement: LiteralString, values: dict[str, Any], *, is_filtered: bool
    ) -> Packed:
        # How selective a filter is shows in its values only, so a statement with one is planned with them each time.
        cursor = await connection.execute(statement, values, prepare=not is_filtered, binary=True)
        (packed,) = await cursor.fetchone() or (None,)
        return unpacked(packed, _ROW)

    def _statement(self, template: str, where: str, effort: Effort) -> LiteralString:
        if where:
            return self._composed(template, where, effort)
        if (template, effort) not in self._unfiltered:
            self._unfiltered[template, effort] = self._composed(template, "", effort)
        return self._unfiltered[template, effort]

    def _composed(self, template: str, where: str, effort: Effort) -> LiteralString:
        names = {**self._names, **{f"most_{kind}": str(count) for kind, count in effort.named().items()}}
        names["where"] = f"AND {where}" if where else ""
        for letter, column in (("b", "b.item"), ("f", "f.item"), ("i", "i.number")):
            names[f"passes_{letter}"] = filled(_PASSES, {"item": column, "where": where}) if where else ""
        ones = [
            filled(
                _POPULAR_ONE,
                {
                    "name": kind,
                    "passes": names["passes_i"],
                    "most": names[f"most_{kind}"],
                    "looked_at": str(_LOOKED_AT) if where else names[f"most_{kind}"],
                },
            )
            for kind in POPULAR
        ]
        return filled(template, {**names, "popular_ones": ", ".join(ones)})


def heats_of(rows: Packed) -> Numbers:
    """Return the heats (n, 3) of candidates."""
    return np.column_stack([rows[name].astype(np.float64) for name in ("lasting", "recent", "newest")])


def products_of(rows: Packed, user: UserProfile, text_mean: Numbers) -> Numbers:
    """Return the inner products (n, 3) of candidates with *user*'s vectors, those of text centred by *text_mean*."""
    text = rows["text"].astype(np.float64) - float(text_mean @ user.text)
    return np.column_stack((rows["behaviour"].astype(np.float64), rows["ials"].astype(np.float64), text))
