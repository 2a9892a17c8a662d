"""What is searched: rows with keys and metadata, queries that are not among them, and the exact answers."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np

from media_gateway.benchmarking.generator import DEFAULT_NOISE, Generator
from media_gateway.benchmarking.truth import Truth, exact_truth
from media_gateway.models import ContentVector, Matrix

BATCH: Final = 1_000
"""Rows that are handed to a system together."""
_KEY: Final = "movie-"


class Rows(Protocol):
    """Rows of unit length that can be read any number of times."""

    def __call__(self) -> Iterator[Matrix]:
        """Yield the rows in blocks."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """*n* rows, and *queries*, (q, d), of the same kind.

    *name* says what it is, *options* how it was made; *known* is the truth that a file brought. Row i has the key
    `movie-i` and the metadata `metadata(i)`.
    """

    name: str
    n: int
    queries: Matrix
    blocks: Rows
    metadata: Callable[[int], dict[str, Any]]
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    known: Truth | None = None
    is_streamed: bool = False

    @property
    def dimension(self) -> int:
        """Numbers of a vector."""
        return self.queries.shape[1]

    @cached_property
    def truth(self) -> Truth:
        """The exact answers to the queries."""
        return self.known or exact_truth(self.blocks(), self.queries)

    @cached_property
    def fingerprint(self) -> str:
        """Text that is the same only for the same rows and queries: results with different ones cannot be compared."""
        digest = hashlib.sha256(f"{self.name} {self.n} {self.dimension}".encode())
        digest.update(next(self.blocks()).tobytes())
        digest.update(self.queries.tobytes())
        return digest.hexdigest()[:16]

    def batches(self) -> Iterator[tuple[int, Matrix]]:
        """Yield the number of the first row and the rows, at most `BATCH` at a time."""
        begin = 0
        for block in self.blocks():
            for start in range(0, len(block), BATCH):
                yield begin + start, block[start : start + BATCH]
            begin += len(block)

    def records(self) -> Iterator[list[ContentVector]]:
        """Yield the rows as records, at most `BATCH` at a time."""
        for begin, rows in self.batches():
            yield [
                ContentVector(key=key_of(begin + offset), vector=row, metadata=self.metadata(begin + offset))
                for offset, row in enumerate(rows)
            ]


def key_of(number: int) -> str:
    """Return the key of the row *number*."""
    return f"{_KEY}{number}"


def numbers_of(keys: Sequence[str]) -> list[int]:
    """Return the row numbers of *keys*."""
    return [int(key.removeprefix(_KEY)) for key in keys]


def made_up(
    *, count: int, dimension: int, queries: int, seed: int = 0, noise: float = DEFAULT_NOISE, most_bytes: int
) -> Dataset:
    """Return *count* rows of the generator; they are kept in memory when they fit *most_bytes*, else made anew each time."""
    generator = Generator(dimension=dimension, seed=seed, noise=noise)
    is_streamed = count * dimension * 4 > most_bytes
    blocks = (lambda: generator.blocks(count)) if is_streamed else _kept(generator, count)
    return Dataset(
        name="generated",
        n=count,
        queries=generator.queries(queries, count),
        blocks=blocks,
        metadata=made_up_metadata,
        options={"seed": seed, "noise": noise},
        is_streamed=is_streamed,
    )


def _kept(generator: Generator, count: int) -> Rows:
    rows = np.empty((count, generator.dimension), dtype=np.float32)
    begin = 0
    for block in generator.blocks(count):
        rows[begin : begin + len(block)] = block
        begin += len(block)
    return blocks_of(rows)


def blocks_of(rows: Matrix, size: int = 5_000) -> Rows:
    """Return *rows* as blocks of at most *size*, which are views."""
    return lambda: (rows[begin : begin + size] for begin in range(0, len(rows), size))


_WORDS: Final = [
    "a",
    "town",
    "by",
    "the",
    "sea",
    "where",
    "somebody",
    "rang",
    "the",
    "bell",
    "and",
    "nobody",
    "remembers",
    "who",
    "asked",
    "for",
    "it",
    "or",
    "why",
]


def made_up_metadata(number: int) -> dict[str, Any]:
    """Return the metadata of a film or series that does not exist, about as large as that of one that does.

    Its values do not depend on the vector: the rows of a cluster are numbered at random.
    """
    turn = number % len(_WORDS)
    words = " ".join(_WORDS[turn:] + _WORDS[:turn])
    return {
        "id": number,
        "title": f"The {_WORDS[turn].title()} of {number}",
        "overview": f"{words}. {words}.",
        "media_type": "movie" if number % 2 else "tv",
        "genre_ids": [28, number % 19],
        "vote_average": number % 100 / 10,
        "release_date": f"{1950 + number % 70}-02-{number % 28 + 1:02d}",
    }
