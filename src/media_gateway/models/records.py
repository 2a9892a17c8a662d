"""Records, their vectors and the space that they live in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Vector: TypeAlias = npt.NDArray[np.float32]
Matrix: TypeAlias = npt.NDArray[np.float32]
"""Rows of equal length: (n, d) float32."""
Metadata: TypeAlias = Mapping[str, Any]

MAX_K: Final = 10_000
MAX_KEY_BYTES: Final = 512
MAX_INDEXED_DIMENSION: Final = 4_000
"""Numbers that a vector may have to be indexed by HNSW in pgvector: as `halfvec`; as `vector` 2,000 (README, "HNSW")."""


@dataclass(frozen=True, kw_only=True)
class VectorSpace:
    """Where a vector lives: vectors are comparable only within one model and dimension."""

    model: str
    dimension: int

    def __str__(self) -> str:
        return f"{self.model} ({self.dimension} numbers)"


@dataclass(frozen=True, kw_only=True, eq=False)
class ContentVector:
    """A record: what a store holds under *key*.

    *vector* has the collection's dimension; *metadata* is a JSON object. Two records are equal when their keys, the
    bits of their vectors and their metadata are.
    """

    key: str
    vector: Vector
    metadata: Metadata = field(default_factory=dict[str, Any])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ContentVector):
            return NotImplemented
        if self.key != other.key or self.metadata != other.metadata or not np.array_equal(self.vector, other.vector):
            return False
        return np.array_equal(np.signbit(self.vector), np.signbit(other.vector))

    __hash__ = None  # pyright: ignore[reportAssignmentType]
