"""How a watched title moves what is known of a user's taste: the one home of each of these formulae.

They are those of the AgentDB application that this package succeeds; its constants are kept, so that a profile goes on
where it stood. Scalars and arrays are both taken; arrays are worked on element by element.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from media_gateway.errors import DimensionMismatchError, InvalidInputError, InvalidVectorError, shown
from media_gateway.models import Vector
from media_gateway.vector_math import unit

Numbers = float | npt.NDArray[np.float64]

SUCCESS_COMPLETION: Final = 0.7
"""A title counts as liked when more than this share of it was watched."""
FIRST_CONFIDENCE: Final = 0.5
FIRST_AFFINITY: Final = 0.5
CONFIDENCE_RANGE: Final = (0.1, 0.95)
RATE_RANGE: Final = (0.1, 0.7)
_UNRATED_REWARD: Final = 0.8
_LIKED_SIGNAL: Final = 0.5
_FINISHED: Final = 0.8
_LARGEST_RATING: Final = 10.0


def watch_reward(completion: float, rating: float | None = None) -> float:
    """Return *completion* times rating / 10, or times 0.8 when there is no *rating*; within [0, 1]."""
    checked_share(completion, "completion")
    if rating is not None:
        checked_rating(rating)
    return completion * (_UNRATED_REWARD if rating is None else rating / _LARGEST_RATING)


def is_success(completion: float) -> bool:
    """Tell whether so much was watched, over 0.7, that the title counts as liked."""
    return checked_share(completion, "completion") > SUCCESS_COMPLETION


def watch_signal(
    completion: float, rating: float | None = None, *, rewatched: bool = False, duration_ratio: float = 0.0
) -> float:
    """Return how strongly an event speaks, in [0, 1].

    0.4 completion + 0.3 rating / 10 (0.15 when unrated and over 0.8 was watched) + 0.2 when rewatched + 0.1
    *duration_ratio*, the time watched in proportion to the title's, of which at most 1 counts.
    """
    checked_share(completion, "completion")
    if rating is None:
        rated = 0.15 if completion > _FINISHED else 0.0
    else:
        rated = 0.3 * checked_rating(rating) / _LARGEST_RATING
    lasting = min(max(duration_ratio, 0.0), 1.0)
    return min(0.4 * completion + rated + (0.2 if rewatched else 0.0) + 0.1 * lasting, 1.0)


def learning_rate(confidence: Numbers, signal: Numbers) -> npt.NDArray[np.float64]:
    """Return 0.3 (2 - confidence) (0.5 + 0.5 signal), kept within 0.1..0.7: sure profiles move less."""
    rate = 0.3 * (2.0 - np.asarray(confidence)) * (0.5 + 0.5 * np.asarray(signal))
    return np.clip(rate, *RATE_RANGE)


def moved_confidence(confidence: Numbers, signal: Numbers) -> npt.NDArray[np.float64]:
    """Return confidence + 0.1 (1 - confidence) when signal > 0.5, else 0.95 confidence; kept within 0.1..0.95."""
    before = np.asarray(confidence, dtype=np.float64)
    after = np.where(np.asarray(signal) > _LIKED_SIGNAL, before + 0.1 * (1.0 - before), before - 0.05 * before)
    return np.clip(after, *CONFIDENCE_RANGE)


def moved_affinity(affinity: Numbers, signal: Numbers) -> npt.NDArray[np.float64]:
    """Return *affinity* moved by 0.1 signal toward 1 when signal > 0.5, else toward 0; kept within [0, 1]."""
    strength = np.asarray(signal, dtype=np.float64)
    step = np.where(strength > _LIKED_SIGNAL, 0.1 * strength, -0.1 * strength)
    return np.clip(np.asarray(affinity) + step, 0.0, 1.0)


def moved_preference(current: Vector | None, new: Vector, rate: float) -> Vector:
    """Return the unit vector of (1 - rate) * current + rate * new; for the first event, *new* brought to length 1.

    A zero *new* says nothing, and one that cancels the current vector leaves no direction: both return *current*.

    Raises InvalidVectorError for a first vector that is zero, or NaN and infinity; DimensionMismatchError when the
    lengths differ; InvalidInputError for a *rate* outside [0, 1].
    """
    checked_share(rate, "rate")
    fresh = unit(new)
    if current is None:
        if not fresh.any():
            raise InvalidVectorError(
                "the first vector is zero, which names no direction; give a vector of an embedding model",
                field="new",
                given=0.0,
                expected="a vector that is not zero",
            )
        return fresh
    before = unit(current)
    if len(before) != len(fresh):
        raise DimensionMismatchError(
            given=len(fresh),
            expected=len(before),
            field="new",
            message=f"new has {len(fresh)} numbers, the profile {len(before)}; embed with the profile's model",
        )
    kept = (1.0 - rate) * np.asarray(current, dtype=np.float64)
    blend = kept + rate * np.asarray(new, dtype=np.float64)
    # Two float32 vectors cancel to their rounding errors, which point nowhere.
    cancelled = np.abs(blend).max() <= 4 * np.finfo(np.float32).eps * np.abs(kept).max()
    return before if not fresh.any() or (cancelled and kept.any()) else unit(blend)


def checked_share(value: float, field: str) -> float:
    """Return *value*, or raise InvalidInputError when it is not a number in [0, 1]."""
    return _checked(value, field, 1.0)


def checked_rating(value: float) -> float:
    """Return *value*, or raise InvalidInputError when it is not a number in [0, 10]."""
    return _checked(value, "rating", _LARGEST_RATING)


def _checked(value: float, field: str, largest: float) -> float:
    # Written so that NaN, which compares false with everything, is refused too.
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= largest:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(
            f"{field} is {shown(value)}; expected a number from 0 to {largest:g}",
            field=field,
            given=value,
            expected=largest,
        )
    return value
