"""What turns text into vectors."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from media_gateway.models import Matrix, VectorSpace

EmbeddingPurpose: TypeAlias = Literal["query", "document"]


class Embedder(Protocol):
    """Turns text into vectors of one space."""

    @property
    def space(self) -> VectorSpace:
        """The model's name and the dimension of its vectors."""
        ...

    async def embed(self, texts: Sequence[str], purpose: EmbeddingPurpose = "document") -> Matrix:
        """Return one unit vector a text: (n, d) float32, in the order of *texts*; (0, d) for none.

        Models that tell questions from passages are told by *purpose*. Raises EmbeddingError.
        """
        ...

    async def aclose(self) -> None:
        """Release the model or its connections."""
        ...


@runtime_checkable
class ReportsUsage(Protocol):
    """An embedder that counts what it does."""

    def usage(self) -> Mapping[str, Any]:
        """Return what it did so far in this process, as a JSON object: requests, tokens, cost, cache hits, ..."""
        ...
