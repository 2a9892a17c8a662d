"""Vectors of one's own: a space without a model that could embed text."""

from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from media_gateway.contracts import EmbeddingPurpose
from media_gateway.errors import UnsupportedError
from media_gateway.models import Matrix, VectorSpace


class OwnVectors:
    """Stands where an embedder stands when vectors come ready-made, by *model*, of *dimension* numbers.

    Nothing is ever loaded. The model's name goes on record with the collection, so that vectors of another one are
    refused there.
    """

    def __init__(self, *, model: str, dimension: int) -> None:
        self._space = VectorSpace(model=model, dimension=dimension)

    @property
    def space(self) -> VectorSpace:
        """The model that made the vectors, and how many numbers they have."""
        return self._space

    async def embed(self, texts: Sequence[str], purpose: EmbeddingPurpose = "document") -> Matrix:
        """Return (0, d) for no *texts*; raise UnsupportedError for any, whatever their *purpose*."""
        if texts:
            self._refuse(purpose)
        return np.empty((0, self._space.dimension), dtype=np.float32)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to release."""

    def _refuse(self, purpose: EmbeddingPurpose) -> NoReturn:
        advice = "search with a vector" if purpose == "query" else "add records with their vectors"
        raise UnsupportedError(
            f"this collection holds vectors of your own, of {self._space}, and no text can be embedded for it; {advice}",
            feature="text",
            store="vectors of your own",
        )
