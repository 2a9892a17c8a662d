"""Digests of a file of records, read from front to back; what it holds is compared as it is, sound or not."""

import sqlite3
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import closing
from typing import Final

import anyio.to_thread

from media_gateway.models import CollectionDigest, RowHash
from media_gateway.models.digests import row_hash, row_image
from media_gateway.transfer.record_files import RecordFile
from media_gateway.transfer.sources import in_thread

_ROWS_AT_ONCE: Final = 1_000


class FileDigests:
    """What `Digests` promises, of a file: a key that it holds twice comes twice."""

    def __init__(self, file: RecordFile) -> None:
        self._file = file

    async def digest(self) -> CollectionDigest:
        """Return count and sum of the hashes of all rows."""
        return await anyio.to_thread.run_sync(self._digest, abandon_on_cancel=True)

    async def row_hashes(self) -> AsyncIterator[list[RowHash]]:
        """Yield key and hash of every row in the order of the keys; sorted on disk, so that memory stays bounded."""
        rows = self._sorted()
        try:
            async for batch in in_thread(rows):
                yield batch
        finally:
            await anyio.to_thread.run_sync(rows.close)

    async def row_images(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return for each of *keys* what its first row's hash is made of; reads the whole file."""
        return await anyio.to_thread.run_sync(self._images, keys, abandon_on_cancel=True)

    def _digest(self) -> CollectionDigest:
        total = CollectionDigest()
        for records in self._file.batches(_ROWS_AT_ONCE, is_checked=False):
            total = total.plus(map(row_hash, records))
        return total

    def _images(self, keys: Sequence[str]) -> list[bytes | None]:
        wanted = set(keys)
        found: dict[str, bytes] = {}
        for records in self._file.batches(_ROWS_AT_ONCE, is_checked=False):
            for record in records:
                if record.key in wanted and record.key not in found:
                    found[record.key] = row_image(record.key, record.vector, record.metadata)
        return [found.get(key) for key in keys]

    def _sorted(self) -> Generator[list[RowHash]]:
        # An unnamed database is a temporary file of SQLite's, which sorts beyond memory; threads take turns with it.
        with closing(sqlite3.connect("", check_same_thread=False, isolation_level=None)) as rows:
            rows.execute("CREATE TABLE hashed (key BLOB NOT NULL, hash BLOB NOT NULL)")
            rows.execute("BEGIN")
            for records in self._file.batches(_ROWS_AT_ONCE, is_checked=False):
                rows.executemany(
                    "INSERT INTO hashed VALUES (?, ?)", [(one.key.encode(), row_hash(one)) for one in records]
                )
            rows.execute("COMMIT")
            cursor = rows.execute("SELECT key, hash FROM hashed ORDER BY key, hash")
            while batch := cursor.fetchmany(_ROWS_AT_ONCE):
                yield [(key.decode(), found) for key, found in batch]
