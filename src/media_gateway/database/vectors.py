"""How vectors travel between numpy and PostgreSQL, in the extension's binary form.

Both pgvector and RuVector send a vector as two big-endian 16-bit numbers, its dimension and zero, followed by the
numbers as big-endian float32 (pgvector, `vector_send`).
"""

import struct
from typing import Any

import numpy as np
from psycopg import AsyncConnection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo

from media_gateway.database.engine import Engine
from media_gateway.models import Vector

_header = struct.Struct(">HH")


class _VectorDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> Buffer:
        return _header.pack(obj.shape[0], 0) + obj.astype(">f4").tobytes()


class _VectorLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> Vector:
        return np.frombuffer(data, dtype=">f4", offset=_header.size).astype(np.float32)


async def register_vectors(connection: AsyncConnection[Any], engine: Engine) -> bool:
    """Let *connection* exchange numpy float32 rows for the engine's type; False when the database lacks the type."""
    info = await TypeInfo.fetch(connection, engine.vector_type)
    if info is None:
        return False
    info.register(connection)
    dumper = type("VectorDumper", (_VectorDumper,), {"oid": info.oid})
    connection.adapters.register_dumper(np.ndarray, dumper)
    connection.adapters.register_loader(info.oid, _VectorLoader)
    return True
