"""The collection's record of its vector space: one embedding model, one dimension, for every vector in the table."""

from typing import Any, Final

from psycopg import AsyncConnection, sql

from media_gateway.database.engine import Engine
from media_gateway.database.index_definitions import INDEX_NAMES, IndexDefinition, IndexKind, fitting_kind
from media_gateway.database.schema import template_values
from media_gateway.errors import ModelMismatchError
from media_gateway.models import VectorSpace

_SELECT: Final = "SELECT model, dimension FROM content_collection"
_RECORD: Final = """
INSERT INTO content_collection (singleton, model, dimension) VALUES (true, %s, %s)
ON CONFLICT (singleton) DO UPDATE SET model = excluded.model, dimension = excluded.dimension
"""


async def recorded_space(connection: AsyncConnection[Any]) -> VectorSpace | None:
    """Return the space that the collection was made for, or None when none was recorded yet."""
    cursor = await connection.execute(_SELECT)
    row = await cursor.fetchone()
    return None if row is None else VectorSpace(model=row[0], dimension=row[1])


async def claim_space(connection: AsyncConnection[Any], engine: Engine, space: VectorSpace) -> None:
    """Record *space* for a collection that has none, or that is empty; the same space again changes nothing.

    Raises ModelMismatchError when the collection holds vectors of another space.
    """
    recorded = await recorded_space(connection)
    if recorded == space:
        return
    async with connection.transaction():
        await connection.execute("LOCK TABLE content_vectors IN ACCESS EXCLUSIVE MODE")
        cursor = await connection.execute("SELECT EXISTS (SELECT FROM content_vectors)")
        row = await cursor.fetchone()
        if recorded is not None and row is not None and row[0]:
            raise mismatch(given=space, recorded=recorded)
        if await column_dimension(connection) != space.dimension:
            await _resize(connection, engine, space.dimension)
        await connection.execute(_RECORD, [space.model, space.dimension])


def mismatch(*, given: VectorSpace, recorded: VectorSpace) -> ModelMismatchError:
    """Return the error for vectors of the space *given* that were about to meet those of *recorded*."""
    return ModelMismatchError(
        f"this collection holds vectors of {recorded}, but {given} was given; use the collection's model, "
        "or an empty database for the new one",
        given=given,
        expected=recorded,
    )


async def column_dimension(connection: AsyncConnection[Any]) -> int | None:
    """Return the dimension that the table's column is declared with."""
    cursor = await connection.execute(
        "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass('content_vectors') AND attname = 'vector'"
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def _resize(connection: AsyncConnection[Any], engine: Engine, dimension: int) -> None:
    values = template_values(engine, dimension)
    statement = sql.SQL(
        "ALTER TABLE content_vectors ALTER COLUMN vector TYPE {type}({dimension}), "
        "ALTER COLUMN vector SET STORAGE {storage}, SET (toast_tuple_target = {row_bytes})"
    ).format(
        type=sql.Identifier(engine.vector_type),
        dimension=sql.Literal(dimension),
        storage=sql.SQL(values["vector_storage"]),  # pyright: ignore[reportArgumentType]
        row_bytes=sql.Literal(int(values["row_bytes"])),
    )
    there = await _indexes_there(connection)
    # PostgreSQL builds the other index anew for the new type; in this one's expression the dimension is written out.
    in_the_way: set[IndexKind] = {kind for kind in there if "halfvec" in {kind, fitting_kind(dimension)}}
    for kind in in_the_way:
        await connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(INDEX_NAMES[kind])))
    await connection.execute(statement)
    kinds: tuple[IndexKind, ...] = ("vector", "halfvec")
    for kind in kinds:
        is_wanted = kind == fitting_kind(dimension) or (kind == "halfvec" and kind in there)
        if is_wanted and kind not in there - in_the_way:
            await connection.execute(IndexDefinition(kind=kind).statement(engine, dimension))


async def _indexes_there(connection: AsyncConnection[Any]) -> set[IndexKind]:
    found: set[IndexKind] = set()
    for kind, name in INDEX_NAMES.items():
        cursor = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        row = await cursor.fetchone()
        if row is not None and row[0]:
            found.add(kind)
    return found
