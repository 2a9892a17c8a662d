"""Indexes on fields of metadata, on a real PostgreSQL: nothing passes but what passed before, and it is found by the index."""

import json
import operator
import random
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.types.json import Jsonb

from media_gateway.database.metadata_fields import FieldType, MetadataField
from media_gateway.database.where import where_clause
from media_gateway.errors import InvalidRequestError
from media_gateway.filters import Condition, MetadataEquals, MetadataRange
from media_gateway.models import ContentVector, SearchRequest, VectorSpace
from media_gateway.stores.postgres import PostgresStore
from media_gateway.stores.postgres.indexes import drop_field, index_field, read_field_indexes
from tests.postgres import TestServer

pytestmark = pytest.mark.anyio
SPACE = VectorSpace(model="made-up", dimension=4)
COUNT = 3_000
VECTOR = np.array([1, 2, 3, 4], dtype=np.float32)
NAME = 'it\'s "100 %" {a}\\b'
"""A field whose name SQL, psycopg and format strings would each read in their own way."""
DIGITS = "".join(random.Random(1).choices("123456789", k=6_500))
LETTERS = "".join(map(chr, random.Random(2).choices(range(0x10000, 0x20000), k=3_000)))

NUMBERS = [
    *("0", "-0.0", "1", "1.0", "-1", "1.5", "-1.5", "90", "1e3", "2.50e-7", "1e-30", "1e29", "-1e29", "1e-12", "0.1"),
    *("9007199254740993", "0.30000000000000004", "999999999999999999999999999999", "1e30", "-1e30", "1e31", "1e-31"),
    # Longer than an entry of an index may be, beside every bound below.
    *(
        DIGITS,
        f"-{DIGITS}",
        f"0.{DIGITS}",
        f"1.{'0' * 600}5",
        f"0.{'9' * 600}",
        f"-1.{'0' * 600}5",
        f"-0.{'9' * 600}",
    ),
    *(f"1.{'0' * 600}", f"0.{'0' * 40}1", f"-0.{'0' * 40}1", f"{'9' * 30}.5", f"1{'0' * 400}"),
]
TEXTS = [
    *("", "1", "a", "A", "ab", "b", "z", "é", "\uffff", "\U00010000", "a" * 499, "a" * 500, "a" * 501, "a" * 3_000),
    *("a" * 499 + "b", "a" * 500 + "b", LETTERS, LETTERS[:499], LETTERS[:500], LETTERS[:501]),
]
OTHERS = ["null", "true", "false", "[1]", '{"a": 1}', '["a"]']
TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "low": operator.ge,
    "high": operator.le,
    "above": operator.gt,
    "below": operator.lt,
}
ENTRIES = [*NUMBERS, *(json.dumps(text) for text in TEXTS), *OTHERS]

NUMBER_BOUNDS: list[float] = [
    0,
    -0.0,
    1,
    1.0,
    -1,
    1.5,
    1e-12,
    1e-30,
    1e-31,
    1e29,
    10**29,
    10**30 - 1,
    10**30,
    -(10**30),
    2**53 + 1,
    0.1,
]
TEXT_BOUNDS = ["", "a", "A", "b", "\uffff", "a" * 499, "a" * 500, "a" * 501, LETTERS[:499], LETTERS[:500], LETTERS]


def ranges() -> list[MetadataRange]:
    """Return every bound in every place, and some ranges between two."""
    found: list[MetadataRange] = []
    bounds: Sequence[Any]
    for bounds in (NUMBER_BOUNDS, TEXT_BOUNDS):
        found += [
            MetadataRange(NAME, **{place: bound}) for bound in bounds for place in ("low", "high", "above", "below")
        ]
        found += [MetadataRange(NAME, above=low, high=high) for low, high in pairwise(bounds)]
    return found


def passes(condition: MetadataRange, entry: str | None) -> bool:
    """Return whether the JSON *entry* passes, by decimals and code points."""
    value: Any = None if entry is None else json.loads(entry, parse_int=Decimal, parse_float=Decimal)
    if not isinstance(value, str if condition.is_text else Decimal):
        return False
    bounds = condition.bounds.items()
    exact = {name: bound if isinstance(bound, str) else Decimal(repr(bound)) for name, bound in bounds}
    return all(TESTS[name](value, bound) for name, bound in exact.items())


@pytest.fixture(scope="module")
async def filled(postgres: TestServer) -> AsyncIterator[PostgresStore]:
    """A store with fields that are spread evenly."""
    store = await postgres.open_store(SPACE)
    vectors = np.random.default_rng(3).standard_normal((COUNT, 4)).astype(np.float32)

    async def batches() -> AsyncIterator[Sequence[ContentVector]]:
        yield [
            ContentVector(
                key=f"movie-{number}",
                vector=vector,
                metadata={"draw": number / COUNT, "name": f"{number:04d}", "sometimes": number}
                if number % 4
                else {"draw": None},
            )
            for number, vector in enumerate(vectors)
        ]

    await store.bulk_load(batches())
    yield store
    await store.aclose()


async def connected(store: PostgresStore) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(**store.endpoint.conninfo, autocommit=True)


async def keys(connection: psycopg.AsyncConnection[Any], condition: Condition) -> set[str]:
    where = where_clause(condition)
    statement = f"SELECT id FROM content_vectors {where.clause}".encode()
    return {key for (key,) in await (await connection.execute(statement, where.values, prepare=False)).fetchall()}


async def test_an_index_lets_pass_what_passed_without_it(postgres: TestServer) -> None:
    store = await postgres.open_store(SPACE)
    async with await connected(store) as connection:

        async def insert(prefix: str) -> None:
            rows = [(f"{prefix}{at}", json.dumps(NAME), entry) for at, entry in enumerate(ENTRIES)]
            async with connection.cursor() as cursor:
                await cursor.executemany(
                    "INSERT INTO content_vectors (id, vector, metadata) "
                    "VALUES (%s, '[1,2,3,4]', ('{' || %s || ':' || %s || '}')::jsonb)",
                    rows,
                )
                await cursor.execute(
                    "INSERT INTO content_vectors (id, vector, metadata) VALUES (%s, '[1,2,3,4]', %s)",
                    [f"{prefix}none", Jsonb({})],
                )

        def expected(condition: MetadataRange, prefixes: str, *, negated: bool = False) -> set[str]:
            entries = [*enumerate(ENTRIES), ("none", None)]
            return {
                f"{prefix}{at}" for prefix in prefixes for at, entry in entries if passes(condition, entry) != negated
            }

        await insert("a")
        for condition in ranges()[::3]:
            assert await keys(connection, condition) == expected(condition, "a"), condition
        kinds: list[FieldType] = ["number", "text"]
        for kind in kinds:
            await index_field(store.endpoint, MetadataField(name=NAME, type=kind))
        # No write fails for the index.
        await insert("b")
        await connection.execute("ANALYZE content_vectors")
        await connection.execute("SET enable_seqscan = off")
        for condition in ranges():
            assert await keys(connection, condition) == expected(condition, "ab"), condition
        for condition in ranges()[::7]:
            assert await keys(connection, ~condition) == expected(condition, "ab", negated=True)
        assert await keys(connection, MetadataRange(NAME, low=1) | MetadataRange(NAME, low="a")) == expected(
            MetadataRange(NAME, low=1), "ab"
        ) | expected(MetadataRange(NAME, low="a"), "ab")
    await store.aclose()


@pytest.mark.parametrize(
    ("name", "kind", "rare", "often"),
    [
        ("draw", "number", MetadataRange("draw", low=0.5, below=0.51), MetadataRange("draw", below=0.9)),
        ("name", "text", MetadataRange("name", above="10", below="11"), MetadataRange("name", below="3600")),
    ],
)
async def test_the_index_finds_what_is_rare_and_its_statistics_tell_what_is(
    filled: PostgresStore, name: str, kind: FieldType, rare: MetadataRange, often: MetadataRange
) -> None:
    before = await filled.explain(SearchRequest(vector=VECTOR, where=rare | rare))
    assert f"media-gateway index field {name} --type {kind}" in before.reason
    truth = await filled.search(SearchRequest(vector=VECTOR, where=rare, exact=True))
    index = await filled.index_field(name, kind)
    assert (index.field, index.is_valid) == (MetadataField(name=name, type=kind), True)
    request = SearchRequest(vector=VECTOR, where=rare)
    after = await filled.explain(request)
    assert (after.way, after.exact) == ("scan", True)
    assert "rows pass by the statistics" in after.reason
    assert any(index.name in line for line in after.plan or ())
    assert (await filled.search(request)).hits == truth.hits
    many = await filled.explain(SearchRequest(vector=VECTOR, where=often))
    assert many.way == "index", many.reason
    assert many.hits == 10
    equal = await filled.explain(
        SearchRequest(vector=VECTOR, where=MetadataEquals(name, 0.25 if kind == "number" else "1001"))
    )
    assert "rows pass by the statistics" in equal.reason


async def test_an_index_is_kept_replaced_when_it_is_a_rest_and_dropped(filled: PostgresStore) -> None:
    field = MetadataField(name="sometimes", type="number")
    built = await index_field(filled.endpoint, field)
    assert built.seconds is not None
    again = await index_field(filled.endpoint, field)
    assert (again.index, again.seconds) == (built.index, None)
    async with await connected(filled) as connection:
        statement = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass"
        await connection.execute(statement, [field.index_name])
        left = [index.name for index in await read_field_indexes(connection) if index.is_leftover]
        assert left == [field.index_name]
        replaced = await index_field(filled.endpoint, field)
        assert (replaced.dropped, replaced.index.is_valid) == ([field.index_name], True)
        assert replaced.seconds is not None
        assert (await drop_field(filled.endpoint, field)).name == field.index_name
        assert field not in [index.field for index in await read_field_indexes(connection)]
    with pytest.raises(InvalidRequestError, match="has no index of type number"):
        await drop_field(filled.endpoint, field)


async def test_who_may_not_see_the_statistics_still_goes_by_the_index(
    filled: PostgresStore, postgres: TestServer
) -> None:
    await filled.index_field("draw", "number")
    async with await connected(filled) as connection:
        await connection.execute("CREATE ROLE field_reader LOGIN PASSWORD 'reader'")
        await connection.execute("GRANT pg_read_all_data TO field_reader")
    conninfo = {**filled.endpoint.conninfo, "user": "field_reader", "password": "reader"}
    store = await postgres.open_store(SPACE, conninfo)
    try:
        explained = await store.explain(SearchRequest(vector=VECTOR, where=MetadataRange("draw", below=0.01)))
    finally:
        await store.aclose()
    assert explained.hits == 10
    assert "index on the field" not in explained.reason
