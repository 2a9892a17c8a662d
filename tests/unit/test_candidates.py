"""How many candidates each source of recommendations is asked for."""

import numpy as np

from media_gateway.learning.interests.fusion import EXPLORER, RETURNING, SOURCES
from media_gateway.learning.postgres.candidates import Effort

ALL = Effort().counts


def effort(weights: tuple[float, ...], k: int = 10) -> dict[str, float]:
    """Return each source's count as a share of what it has when all are asked for all."""
    counts = Effort.of(np.array(weights), k).counts
    return {name: count / most for name, count, most in zip(SOURCES, counts, ALL, strict=True)}


def test_sources_are_asked_by_their_weight() -> None:
    assert effort(EXPLORER) == {
        "behaviour": 1.5,
        "ials": 0.2,
        "text": 0.5,
        "popularity": 0.5,
        "recent": 0.2,
        "newest": 0.2,
    }
    assert effort(RETURNING)["newest"] == 1.5
    assert effort(RETURNING)["behaviour"] == 0.2


def test_weights_that_move_a_little_ask_alike_and_no_weights_ask_all_for_few() -> None:
    moved = tuple(weight * 1.01 + 0.0005 for weight in EXPLORER)
    assert effort(moved) == effort(EXPLORER)
    assert set(effort((0.0,) * len(SOURCES)).values()) == {0.2}


def test_long_lists_ask_all_sources_for_all() -> None:
    assert set(effort(EXPLORER, k=51).values()) == {1.0}
