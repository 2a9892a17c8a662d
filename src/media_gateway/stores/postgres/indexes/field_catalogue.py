"""The indexes on fields of metadata that a collection has."""

import re
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

from media_gateway.database.metadata_fields import INDEX_PREFIX, MetadataField, noted_field

_INDEXES: Final = """
SELECT relname::text, indisvalid, pg_relation_size(pg_class.oid), obj_description(pg_class.oid, 'pg_class')
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = to_regclass('content_vectors') AND starts_with(relname::text, %s)
ORDER BY relname
"""
_OURS: Final = re.compile(rf"{INDEX_PREFIX}(number|text)_[0-9a-f]{{16}}_idx(_ccnew\d*|_ccold\d*)?")


@dataclass(frozen=True, kw_only=True)
class FieldIndex:
    """An index on *field*, which is None where the comment that tells it is missing; *bytes* is its size."""

    name: str
    field: MetadataField | None
    is_valid: bool
    bytes: int

    @property
    def is_leftover(self) -> bool:
        """Whether it is the rest of a build of ours that was cut off: no search uses it, every write pays for it."""
        return not self.is_valid and _OURS.fullmatch(self.name) is not None


async def read_field_indexes(connection: AsyncConnection[Any]) -> list[FieldIndex]:
    """Return the indexes on fields of metadata, in the order of their names."""
    cursor = await connection.execute(_INDEXES, [INDEX_PREFIX])
    return [
        FieldIndex(name=name, field=noted_field(name, comment), is_valid=is_valid, bytes=size)
        for name, is_valid, size, comment in await cursor.fetchall()
    ]
