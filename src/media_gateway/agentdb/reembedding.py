"""Embedding a whole file anew, so that all its vectors are of one model."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from media_gateway.agentdb.context import KINDS, Context, Kind
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import DIMENSION, blobs
from media_gateway.errors import InvalidInputError
from media_gateway.models import Matrix

_BATCH: Final = 256


@dataclass(frozen=True, kw_only=True)
class Reembedded:
    """How many rows of each kind got a vector of *model*; *left_out* have no text that it can embed."""

    model: str
    patterns: int
    episodes: int
    skills: int
    left_out: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Kind:
    """The rows of a kind: those with a new vector, and those that get none."""

    kind: Kind
    keys: list[int]
    vectors: Matrix
    left_out: list[int]


Progress = Callable[[int], None]


async def reembed(context: Context, progress: Progress | None) -> Reembedded:
    """Embed every row's text and store the vectors in one transaction: all of them are replaced, or none.

    *progress* is told how many more rows were embedded. A row that cannot be embedded loses its vector, since one of
    another model would be compared with the rest. Raises InvalidInputError without an embedder, EmbeddingError, and
    UnsupportedError when the file is open for reading only.
    """
    context.file.check_may_write()
    done = [await _of_kind(context, kind, progress) for kind in KINDS]
    model = context.model or ""
    await context.file.write(lambda connection: _store(connection, done, model))
    counts = {one.kind: len(one.keys) for one in done}
    return Reembedded(
        model=model,
        patterns=counts["pattern"],
        episodes=counts["episode"],
        skills=counts["skill"],
        left_out=sum(len(one.left_out) for one in done),
    )


async def _of_kind(context: Context, kind: Kind, progress: Progress | None) -> _Kind:
    rows = await context.file.run(lambda connection: connection.execute(statement(f"{kind}_texts")).fetchall())
    found: list[tuple[int, Matrix]] = []
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        found += await _embedded(context, batch)
        if progress is not None:
            progress(len(batch))
    keys = [key for key, _ in found]
    empty: Matrix = np.empty((0, DIMENSION), dtype=np.float32)
    return _Kind(
        kind=kind,
        keys=keys,
        vectors=np.concatenate([row for _, row in found]) if found else empty,
        left_out=sorted({row[0] for row in rows} - set(keys)),
    )


async def _embedded(context: Context, batch: list[tuple[int, str]]) -> list[tuple[int, Matrix]]:
    try:
        matrix = await context.embed([text for _, text in batch])
    except InvalidInputError:
        if context.embedder is None or len(batch) == 1:
            if context.embedder is None:
                raise
            return []
        # One text of these has nothing to embed: halving finds it.
        half = len(batch) // 2
        return await _embedded(context, batch[:half]) + await _embedded(context, batch[half:])
    return [(key, matrix[place : place + 1]) for place, (key, _) in enumerate(batch)]


def _store(connection: sqlite3.Connection, done: list[_Kind], model: str) -> None:
    for one in done:
        kind = one.kind
        connection.executemany(statement(f"{kind}_unembed"), [(key,) for key in one.left_out])
        # Rows may have gone while the others were embedded.
        there = {row[0] for row in connection.execute(statement(f"{kind}_texts"))}
        rows = [(key, data) for key, data in zip(one.keys, blobs(one.vectors), strict=True) if key in there]
        if kind != "pattern":
            rows = [(*row, model) for row in rows]
        connection.executemany(statement(f"{kind}_embed"), rows)
