"""The table of embeddings that were made before, shared by every process that uses the database."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import numpy as np
from psycopg import AsyncConnection

from media_gateway.contracts import EmbeddingPurpose
from media_gateway.database.faults import faults_translated
from media_gateway.models import Vector, VectorSpace

QUERY_DAYS: Final = 30
"""Days after which the vector of a search text is forgotten; those of documents are kept."""

_UNIT_TOLERANCE: Final = 1e-3

_READ: Final = """
SELECT text_sha256, vector FROM content_embedding_cache
WHERE model = %s AND dimension = %s AND purpose = %s AND text_sha256 = ANY (%s::bytea[])
"""
_WRITE: Final = """
INSERT INTO content_embedding_cache (model, dimension, purpose, text_sha256, vector)
SELECT %s, %s, %s, made.text_sha256, made.vector FROM unnest(%s::bytea[], %s::bytea[]) AS made (text_sha256, vector)
ON CONFLICT DO NOTHING
"""
_FORGET: Final = """
DELETE FROM content_embedding_cache
WHERE purpose = 'query' AND created_at < now() - make_interval(days => %s)
"""


class EmbeddingCacheTable:
    """Reads and writes `content_embedding_cache` on connections that *lend* gives; messages call it *server*.

    Both methods raise StoreUnavailableError, SchemaError and what else `faults_translated` gives when the database
    cannot be reached, lacks the table, or does not allow it.
    """

    def __init__(self, lend: Callable[[], AbstractAsyncContextManager[AsyncConnection[Any]]], *, server: str) -> None:
        self._lend = lend
        self._server = server
        self._has_forgotten = False

    async def read(
        self, space: VectorSpace, purpose: EmbeddingPurpose, digests: Sequence[bytes]
    ) -> dict[bytes, Vector]:
        """Return those of *digests*, SHA-256 of texts, that are there, each with its (d,) float32 vector."""
        parameters = [space.model, space.dimension, purpose, list(digests)]
        with faults_translated(self._server):
            async with self._lend() as connection:
                cursor = await connection.execute(_READ, parameters, binary=True)
                rows = await cursor.fetchall()
        vectors = {digest: np.frombuffer(vector, dtype="<f4").astype(np.float32) for digest, vector in rows}
        return {digest: vector for digest, vector in vectors.items() if _is_unit(vector)}

    async def write(self, space: VectorSpace, purpose: EmbeddingPurpose, vectors: Mapping[bytes, Vector]) -> None:
        """Keep *vectors* by the SHA-256 of their texts, all or none; what is there already stays.

        The first call also forgets search texts that are older than 30 days.
        """
        # In one order, so that writers never wait for one another in a circle.
        digests = sorted(vectors)
        data = [np.ascontiguousarray(vectors[digest], dtype="<f4").tobytes() for digest in digests]
        parameters = [space.model, space.dimension, purpose, digests, data]
        with faults_translated(self._server):
            async with self._lend() as connection:
                await connection.execute(_WRITE, parameters, binary=True)
                if not self._has_forgotten:
                    await connection.execute(_FORGET, [QUERY_DAYS])
                    self._has_forgotten = True


def _is_unit(vector: Vector) -> bool:
    """Whether *vector* is as embedders make them; anything else was written by another hand, and counts as absent."""
    return bool(abs(float(np.linalg.norm(vector)) - 1) < _UNIT_TOLERANCE)
