"""What made the vectors of a file: this project's model, npm's stand-in for a model, or something else.

The column embedding_model says all-MiniLM-L6-v2 whatever made a row, so texts are embedded again and compared.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from media_gateway.contracts import Embedder
from media_gateway.errors import InvalidInputError
from media_gateway.models import Matrix, Vector

if TYPE_CHECKING:
    from media_gateway.agentdb.context import Sample

STAND_IN: Final = "npm's hash stand-in"
OTHER: Final = "another model"
UNKNOWN: Final = "an unknown model"
MIXED: Final = "several models"
NOTHING: Final = "nothing"

_SAME: Final = 0.999
"""Cosine of one text's vectors by one model: two runs differ by float32 rounding."""
_SAME_MODEL: Final = 0.95
"""Cosine of one text's vectors by one model in two precisions; other models of 384 numbers reach about 0.2."""
_EMBEDDED_AGAIN: Final = 8


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What was found.

    *maker* is the embedder's model, "npm's hash stand-in", "another model", "several models", "an unknown model" (no
    embedder to compare with) or "nothing" (no vectors).

    *rows* are there, *embedded* of them have a vector, of which *unusable* are of a wrong size, zero or not finite.
    """

    maker: str
    rows: int
    embedded: int
    unusable: int
    is_comparable: bool


def stand_in(text: str) -> Vector:
    """Return the 384 numbers that the npm package makes of *text* when it has no model; zeros for an empty text.

    A 32-bit hash of the UTF-16 units seeds sines: equal texts get equal vectors, and nothing else is told by them.
    """
    if not text:
        return np.zeros(384, dtype=np.float32)
    seed = 0
    for unit in np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype="<u2").tolist():
        seed = (31 * seed + unit) & 0xFFFFFFFF
    seed = seed - 2**32 if seed >= 2**31 else seed
    steps = seed + 31.0 * np.arange(384)
    row: npt.NDArray[np.float32] = (np.sin(steps) * np.cos(steps * 0.5)).astype(np.float32)
    return (row / np.sqrt((row.astype(np.float64) ** 2).sum())).astype(np.float32)


async def provenance_of(sample: "Sample", embedder: Embedder | None) -> Provenance:
    """Return what made the vectors of *sample*, by making some of them again."""
    makers = await _makers(sample.texts, sample.vectors, embedder)
    maker = MIXED if len(makers) > 1 else next(iter(makers), NOTHING)
    model = embedder.space.model if embedder is not None else None
    return Provenance(
        maker=maker,
        rows=sample.rows,
        embedded=sample.embedded,
        unusable=sample.unusable,
        is_comparable=maker in {model, NOTHING, UNKNOWN},
    )


async def _makers(texts: list[str], vectors: Matrix, embedder: Embedder | None) -> set[str]:
    found: set[str] = set()
    rest: list[int] = []
    for place, text in enumerate(texts):
        if _alike(stand_in(text), vectors[place]) > _SAME:
            found.add(STAND_IN)
        else:
            rest.append(place)
    if not rest:
        return found
    if embedder is None:
        return found | {UNKNOWN}
    step = max(1, len(rest) // _EMBEDDED_AGAIN)
    for place in rest[::step]:
        again = await _embedded(embedder, texts[place])
        if again is not None:
            same = _alike(again, vectors[place]) > _SAME_MODEL
            found.add(embedder.space.model if same else OTHER)
    return found or {UNKNOWN}


async def _embedded(embedder: Embedder, text: str) -> Vector | None:
    try:
        return (await embedder.embed([text]))[0]
    except InvalidInputError:  # a text of signs that the model knows nothing of
        return None


def _alike(first: Vector, second: Vector) -> float:
    lengths = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    return float(np.dot(first, second)) / lengths if lengths > 0 else 0.0
