"""The bare COPY that our bulk load is held against: ready-made bytes into the same table, without its vector index."""

import struct
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from typing import IO, Final

from media_gateway.benchmarking.datasets import Dataset
from media_gateway.benchmarking.systems.base import seconds_since
from media_gateway.benchmarking.systems.server import BenchmarkServer
from media_gateway.json_values import canonical, dump
from media_gateway.models import VectorSpace
from media_gateway.stores.postgres import open_postgres_store

_MOST_BATCHES: Final = 100
_CHUNK: Final = 2**18
_HEAD: Final = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_TAIL: Final = struct.pack(">h", -1)


async def bare_copy(server: BenchmarkServer, data: Dataset) -> tuple[float, int]:
    """Return the seconds that COPY takes, and for how many rows: all of *data*, 100,000 at most.

    The bytes are made beforehand. The table is emptied in the same transaction and its rows are frozen, as our bulk
    load does too.
    """
    database = await server.database("copy", "")
    try:
        space = VectorSpace(model="benchmark", dimension=data.dimension)
        await (await open_postgres_store(server.settings(), conninfo=database.conninfo, space=space)).aclose()
        with tempfile.TemporaryFile() as file:
            rows = _write(file, data)
            file.seek(0)
            async with await database.connect() as connection, connection.cursor() as cursor:
                await connection.execute("DROP INDEX content_vectors_hnsw_idx")
                begin = time.perf_counter()
                await connection.execute("BEGIN")
                await connection.execute("TRUNCATE content_vectors")
                statement = "COPY content_vectors (id, vector, metadata) FROM STDIN (FORMAT binary, FREEZE)"
                async with cursor.copy(statement) as copy:
                    while chunk := file.read(_CHUNK):
                        await copy.write(chunk)
                await connection.execute("COMMIT")
                return seconds_since(begin), rows
    finally:
        await database.drop()


def _write(file: IO[bytes], data: Dataset) -> int:
    file.write(_HEAD)
    count = 0
    for row in _rows(data):
        file.write(row)
        count += 1
    file.write(_TAIL)
    return count


def _rows(data: Dataset) -> Iterator[bytes]:
    """Yield rows in the binary form of the manual of COPY."""
    for batch in islice(data.records(), _MOST_BATCHES):
        for record in batch:
            key = record.key.encode()
            vector = struct.pack(">HH", len(record.vector), 0) + record.vector.astype(">f4").tobytes()
            metadata = b"\x01" + dump(canonical(record.metadata))
            fields = (key, vector, metadata)
            yield struct.pack(">h", len(fields)) + b"".join(struct.pack(">i", len(one)) + one for one in fields)
