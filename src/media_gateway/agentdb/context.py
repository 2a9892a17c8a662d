"""What the parts of an open file share: the file, the embedder, the clock, and the vectors in memory."""

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from media_gateway.agentdb.file import AgentFile
from media_gateway.agentdb.provenance import Provenance, provenance_of
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import BLOB_BYTES, DIMENSION, blob, checked_all, checked_given, vector_of
from media_gateway.contracts import Embedder
from media_gateway.errors import InvalidInputError
from media_gateway.models import Matrix, Vector
from media_gateway.vector_math import cosines

Kind = Literal["pattern", "episode", "skill"]
KINDS: Final[tuple[Kind, ...]] = ("pattern", "episode", "skill")
TABLES: Final[dict[Kind, str]] = {"pattern": "reasoning_patterns", "episode": "episodes", "skill": "skills"}

DAY: Final = 86_400
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Vectors:
    """The vectors of rows about to be stored: *standard* (n, 384), and for each row one of *another* size or None."""

    standard: Matrix
    another: list[Vector | None]


@dataclass(kw_only=True, eq=False)
class Context:
    """An open file and what is known of it in this process."""

    file: AgentFile
    embedder: Embedder | None
    clock: Callable[[], float] = time.time
    _warned: set[Kind] = field(default_factory=set[Kind])

    @property
    def now(self) -> int:
        """The present Unix second."""
        return int(self.clock())

    @property
    def model(self) -> str | None:
        """The name of the model that texts are embedded with."""
        return self.embedder.space.model if self.embedder is not None else None

    async def embed(self, texts: Sequence[str], *, is_query: bool = False) -> Matrix:
        """Return one unit vector a text; raises InvalidInputError without an embedder, and the embedder's errors."""
        if not texts:
            return np.empty((0, DIMENSION), dtype=np.float32)
        if self.embedder is None:
            raise InvalidInputError(
                "the file was opened without an embedder, so texts cannot be embedded; give vectors, or open it with "
                "embedder=LocalEmbedder()",
                field="embedder",
                expected="an embedder of 384 numbers",
            )
        return await self.embedder.embed(texts, "query" if is_query else "document")

    async def vectors_for(self, texts: Sequence[str], given: Sequence[Vector | None], kind: Kind) -> Vectors:
        """Return the vectors of rows with *texts*: what was *given* where it has 384 numbers, else the text's."""
        rows = checked_all(given, kind)
        standard = np.empty((len(texts), DIMENSION), dtype=np.float32)
        wanted = [place for place, row in enumerate(rows) if row is None or len(row) != DIMENSION]
        for place, row in enumerate(rows):
            if row is not None and len(row) == DIMENSION:
                standard[place] = row
        if wanted:
            standard[wanted] = await self.embed([texts[place] for place in wanted])
        return Vectors(standard=standard, another=[_unless_standard(row) for row in rows])

    async def query_vector(self, kind: Kind, text: str | None, vector: Vector | None) -> Vector:
        """Return what is searched for: *vector* at length 1, or the embedding of *text*. Give one of the two."""
        if (text is None) == (vector is None):
            raise InvalidInputError(
                "a search was given both a text and a vector, or neither; give one of them",
                field="text",
                expected="a text or a vector",
            )
        if vector is not None:
            return checked_given(vector, field="vector")
        await self._warn_of_other_vectors(kind)
        return (await self.embed([text or ""], is_query=True))[0]

    async def provenance(self, kind: Kind) -> Provenance:
        """Return what made the stored vectors of *kind*, as far as the file and this embedder tell."""
        sample = await self.file.run(lambda connection: sample_of(connection, kind))
        return await provenance_of(sample, self.embedder)

    async def _warn_of_other_vectors(self, kind: Kind) -> None:
        if kind in self._warned or self.embedder is None:
            return
        self._warned.add(kind)
        found = await self.provenance(kind)
        if not found.is_comparable:
            _log.warning(
                "%s: the vectors of its %ss were made by %s, so searches by text find little; "
                "re-embed it with `media-gateway agentdb reembed`",
                self.file.path,
                kind,
                found.maker,
            )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Some rows of a kind, evenly spread: their texts, and their blobs as they are; and how many rows there are."""

    rows: int
    embedded: int
    unusable: int
    texts: list[str]
    vectors: Matrix


_SAMPLED: Final = 24


def sample_of(connection: sqlite3.Connection, kind: Kind) -> Sample:
    """Return up to 24 rows of *kind* that have a usable vector."""
    rows = int(connection.execute(statement(f"count_{kind}s")).fetchone()[0])
    step = max(1, -(-rows // _SAMPLED))
    embedded = good = 0
    texts: list[str] = []
    vectors: list[Vector] = []
    for row in connection.execute(statement(f"{kind}_vectors")):
        embedded += 1
        if not is_usable_blob(row[-1]):
            continue
        if good % step == 0:
            text = connection.execute(statement(f"{kind}_text"), (row[0],)).fetchone()
            vector = vector_of(row[-1])
            if text is not None and vector is not None:
                texts.append(str(text[0]))
                vectors.append(vector)
        good += 1
    matrix = np.array(vectors, dtype=np.float32).reshape(len(vectors), DIMENSION)
    return Sample(rows=rows, embedded=embedded, unusable=embedded - good, texts=texts, vectors=matrix)


def is_usable_blob(stored: object) -> bool:
    """Tell whether *stored* is a vector of 384 finite numbers that are not all zero."""
    if not isinstance(stored, bytes) or len(stored) != BLOB_BYTES:
        return False
    row = np.frombuffer(stored, dtype="<f4")
    return bool(np.isfinite(row).all() and row.any())


def next_ids(connection: sqlite3.Connection, kind: Kind, count: int) -> range:
    """Return the ids of *count* new rows; ids are never given out twice."""
    row = connection.execute(statement("next_id"), (TABLES[kind],)).fetchone()
    first = int(row[0]) + 1 if row is not None else 1
    return range(first, first + count)


def put_vectors(connection: sqlite3.Connection, kind: Kind, ids: Sequence[int], vectors: Vectors, *, now: int) -> None:
    """Store the vectors of other sizes in the table of our own."""
    rows = [
        (kind, str(row_id), len(vector), None, blob(vector), now)
        for row_id, vector in zip(ids, vectors.another, strict=True)
        if vector is not None
    ]
    connection.executemany(statement("vector_put"), rows)


def nearest_of_another_size(
    connection: sqlite3.Connection, kind: Kind, query: Vector, allowed: set[int] | None
) -> list[tuple[int, float]]:
    """Return id and similarity of each row that has a vector as long as *query*, best first."""
    stored = connection.execute(statement("vector_list"), (kind, len(query))).fetchall()
    rows = [(int(owner), vector_of(data)) for owner, data in stored]
    there = [(key, row) for key, row in rows if row is not None and (allowed is None or key in allowed)]
    if not there:
        return []
    scores = cosines(query, np.stack([row for _, row in there]))
    return sorted(
        ((key, float(score)) for (key, _), score in zip(there, scores, strict=True)),
        key=lambda item: (-item[1], item[0]),
    )


def _unless_standard(row: Vector | None) -> Vector | None:
    return None if row is None or len(row) == DIMENSION else row
