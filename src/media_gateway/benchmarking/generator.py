"""Made-up vectors with the structure of real embeddings: clusters, and a spectrum that decays.

Each row is the centre of its cluster plus noise, both Gaussian with coordinate i scaled by (1 + i)^-0.5, brought to
length 1. Fifty rows share a centre. How hard they are is the noise: at 1.0 HNSW needs the widths that real one-line texts
need (40,000 embeddings by all-MiniLM-L6-v2), at 0.5 those that are published for embeddings of paragraphs (pgvector on
OpenAI's embeddings of DBpedia abstracts: a recall@10 of about .96 at ef 40 and a million rows). docs/benchmarks.md has
the figures.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from media_gateway.models import Matrix

BLOCK: Final = 5_000
"""Rows that are made together, from centres of their own."""
DEFAULT_NOISE: Final = 0.5
_ROWS_A_CENTRE: Final = 50
_CENTRES, _ROWS, _QUERIES = range(3)


@dataclass(frozen=True, kw_only=True)
class Generator:
    """Rows of *dimension* numbers, the same ones for the same *seed* and *noise*, however many are asked for."""

    dimension: int
    seed: int = 0
    noise: float = DEFAULT_NOISE

    def blocks(self, count: int) -> Iterator[Matrix]:
        """Yield the first *count* rows, unit length, in blocks of at most `BLOCK`."""
        for number in range(-(-count // BLOCK)):
            yield self.block(number)[: count - number * BLOCK]

    def block(self, number: int) -> Matrix:
        """Return the rows from `number * BLOCK` on, (BLOCK, d) float32."""
        random = self._random(_ROWS, number)
        return self._near(self._centres(number), random.integers(0, BLOCK // _ROWS_A_CENTRE, BLOCK), random)

    def queries(self, count: int, rows: int) -> Matrix:
        """Return *count* further unit rows from the clusters of the first *rows* ones, (count, d) float32."""
        random = self._random(_QUERIES, rows)
        home: list[int] = random.integers(0, -(-rows // BLOCK), count).tolist()
        counts = Counter(home)
        made = [
            self._near(self._centres(number), random.integers(0, BLOCK // _ROWS_A_CENTRE, wanted), random)
            for number, wanted in sorted(counts.items())
        ]
        return np.ascontiguousarray(random.permutation(np.concatenate(made)))

    def _centres(self, number: int) -> Matrix:
        shape = (BLOCK // _ROWS_A_CENTRE, self.dimension)
        return self._random(_CENTRES, number).standard_normal(shape, dtype=np.float32)

    def _near(
        self, centres: Matrix, chosen: "np.ndarray[tuple[int], np.dtype[np.int64]]", random: np.random.Generator
    ) -> Matrix:
        scale = (1 / np.sqrt(1 + np.arange(self.dimension))).astype(np.float32)
        made = random.standard_normal((len(chosen), self.dimension), dtype=np.float32)
        made *= np.float32(self.noise)
        made += centres[chosen]
        made *= scale
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made

    def _random(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, purpose, number))
