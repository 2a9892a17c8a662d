"""What recommending needs beside rows of items and users: weights, sums over all vectors, the bridge from text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from media_gateway.learning.interests.arrays import Numbers
from media_gateway.learning.interests.fusion import SOURCES, VECTOR_SOURCES, FusionWeights
from media_gateway.learning.interests.moments import Moments
from media_gateway.learning.interests.scoring import Spreads
from media_gateway.learning.interests.settings import InterestSettings

_MOMENTS: Final = ("solving", "behaviour", "ials", "text")
_SUMS: Final = 5
"""Of a `guard.Shadow`."""


@dataclass(kw_only=True)
class Parameters:
    """The model's arrays. *weights* are learned, *serving* are those in use, and *shadow* is how both compare (guard.Shadow).

    *solving* are the moments of learned vectors, *behaviour* those of shown ones.

    *text_mean* (d,) is taken off every text vector, and *bridge* (d, 64) leads from there to behaviour.
    """

    weights: FusionWeights
    serving: FusionWeights
    shadow: Numbers
    solving: Moments
    behaviour: Moments
    ials: Moments
    text: Moments
    text_mean: Numbers
    bridge: Numbers
    popularity: Numbers

    @classmethod
    def fresh(cls, settings: InterestSettings, dimension: int) -> "Parameters":
        """Return those of a model that knows nothing, for text vectors of *dimension* numbers."""
        sizes = (settings.dimension, settings.dimension, settings.ials_dimension, dimension)
        solving, behaviour, ials, text = (Moments.of(np.zeros((0, size))) for size in sizes)
        return cls(
            weights=FusionWeights.fresh(settings.history_steps),
            serving=FusionWeights.fresh(settings.history_steps),
            shadow=np.zeros(_SUMS),
            solving=solving,
            behaviour=behaviour,
            ials=ials,
            text=text,
            text_mean=np.zeros(dimension),
            bridge=np.zeros((dimension, settings.dimension)),
            popularity=np.zeros((2, len(SOURCES) - VECTOR_SOURCES)),
        )

    @classmethod
    def of(cls, arrays: Mapping[str, Numbers]) -> "Parameters":
        """Return those that `arrays` made."""
        moments = [
            Moments(count=float(arrays[f"{name}.count"][0]), total=arrays[f"{name}.total"], gram=arrays[f"{name}.gram"])
            for name in _MOMENTS
        ]
        return cls(
            weights=FusionWeights(
                shared=arrays["weights.shared"],
                added=arrays["weights.added"],
                shared_squares=arrays["weights.shared_squares"],
                added_squares=arrays["weights.added_squares"],
            ),
            serving=FusionWeights(
                shared=arrays["serving.shared"],
                added=arrays["serving.added"],
                shared_squares=np.ones_like(arrays["serving.shared"]),
                added_squares=np.ones_like(arrays["serving.added"]),
            ),
            shadow=arrays["shadow"],
            solving=moments[0],
            behaviour=moments[1],
            ials=moments[2],
            text=moments[3],
            text_mean=arrays["text.mean"],
            bridge=arrays["bridge"],
            popularity=arrays["popularity"],
        )

    def quick(self) -> dict[str, Numbers]:
        """Return, by name, the arrays that every batch changes."""
        weights = self.weights
        return {
            "weights.shared": weights.shared,
            "weights.added": weights.added,
            "weights.shared_squares": weights.shared_squares,
            "weights.added_squares": weights.added_squares,
            "serving.shared": self.serving.shared,
            "serving.added": self.serving.added,
            "shadow": self.shadow,
            "popularity": self.popularity,
            **_moments("solving", self.solving),
            **_moments("behaviour", self.behaviour),
        }

    def arrays(self) -> dict[str, Numbers]:
        """Return all arrays by name."""
        return {
            **self.quick(),
            **_moments("ials", self.ials),
            **_moments("text", self.text),
            "text.mean": self.text_mean,
            "bridge": self.bridge,
        }

    def spreads(self, clock: float) -> Spreads:
        """Return what scores are standardised by at the time *clock* of the latest event."""
        return Spreads(
            behaviour=self.behaviour,
            ials=self.ials,
            text=self.text,
            popularity_means=self.popularity[0],
            popularity_spreads=self.popularity[1],
            clock=clock,
        )


def _moments(name: str, moments: Moments) -> dict[str, Numbers]:
    return {
        f"{name}.count": np.array([moments.count]),
        f"{name}.total": moments.total,
        f"{name}.gram": moments.gram,
    }


def copied(weights: FusionWeights) -> FusionWeights:
    """Return weights that later learning of *weights* leaves as they are."""
    return FusionWeights(
        shared=weights.shared.copy(),
        added=weights.added.copy(),
        shared_squares=weights.shared_squares.copy(),
        added_squares=weights.added_squares.copy(),
    )
