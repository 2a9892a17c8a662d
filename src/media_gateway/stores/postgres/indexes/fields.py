"""Building and dropping an index on a field of metadata, while the collection serves; a range then reads what it passes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection, sql

from media_gateway.database.metadata_fields import MetadataField
from media_gateway.database.pool import Endpoint
from media_gateway.errors import InvalidRequestError, StoreError, shown
from media_gateway.stores.postgres.indexes.build import building, drop_by_name, drop_rests, run_build
from media_gateway.stores.postgres.indexes.catalogue import read_table
from media_gateway.stores.postgres.indexes.field_catalogue import FieldIndex, read_field_indexes
from media_gateway.stores.postgres.indexes.progress import OnProgress

_ANALYZE: Final = "ANALYZE content_vectors"
"""Of named columns only, it would pass over the indexes."""


@dataclass(frozen=True, kw_only=True)
class BuiltField:
    """The *index*, the *seconds* that its build took, None where it was there already, and the rests *dropped*."""

    index: FieldIndex
    seconds: float | None
    dropped: Sequence[str]


async def index_field(endpoint: Endpoint, field: MetadataField, *, on_progress: OnProgress | None = None) -> BuiltField:
    """Have an index on *field* and statistics of it, on the collection of *endpoint*, which serves meanwhile.

    One that is there is kept, and its statistics are taken anew. When the build fails or is cancelled, what it made is
    dropped again. Raises IndexBusyError while another build runs, StoreFullError where the disk cannot hold it.
    """
    async with building(endpoint) as connection:
        table = await read_table(connection)
        dropped = await drop_rests(connection, endpoint)
        seconds = None
        if await _found(connection, field) is None:
            seconds = await run_build(connection, endpoint, field.statement(), table, on_progress)
        await connection.execute(
            sql.SQL("COMMENT ON INDEX {} IS {}").format(sql.Identifier(field.index_name), sql.Literal(field.note))
        )
        await connection.execute(_ANALYZE)
        index = await _found(connection, field)
        if index is None:
            raise StoreError(f"{field.index_name} was built, but {endpoint.server} calls it invalid; build it again")
        return BuiltField(index=index, seconds=seconds, dropped=dropped)


async def drop_field(endpoint: Endpoint, field: MetadataField) -> FieldIndex:
    """Drop the index on *field* without anybody waiting, and return what it was; raises InvalidRequestError for none."""
    async with building(endpoint) as connection:
        found = next((index for index in await read_field_indexes(connection) if index.name == field.index_name), None)
        if found is None:
            raise InvalidRequestError(
                f"the field {shown(field.name)} has no index of type {field.type}; media-gateway index status names "
                "those that there are",
                field="name",
                given=field.name,
            )
        await drop_by_name(connection, found.name)
        return found


async def _found(connection: AsyncConnection[Any], field: MetadataField) -> FieldIndex | None:
    indexes = await read_field_indexes(connection)
    return next((index for index in indexes if index.name == field.index_name and index.is_valid), None)
