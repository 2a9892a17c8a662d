"""The application's formulae for taste, at the values that its own code gives."""

import numpy as np
import pytest

from media_gateway.errors import DimensionMismatchError, InvalidInputError, InvalidVectorError
from media_gateway.preference_math import (
    is_success,
    learning_rate,
    moved_affinity,
    moved_confidence,
    moved_preference,
    watch_reward,
    watch_signal,
)


def test_reward_and_success_of_a_watch():
    assert watch_reward(0.75, 8) == pytest.approx(0.6)
    assert watch_reward(0.5) == pytest.approx(0.4)
    assert watch_reward(1.0, 0) == 0
    assert (is_success(0.7), is_success(0.71)) == (False, True)


@pytest.mark.parametrize(
    ("facts", "signal"),
    [
        ({"completion": 0.5}, 0.2),
        ({"completion": 0.8}, 0.32),
        ({"completion": 0.9}, 0.36 + 0.15),
        ({"completion": 0.9, "rating": 10}, 0.36 + 0.3),
        ({"completion": 1, "rating": 10, "rewatched": True, "duration_ratio": 1}, 1.0),
        ({"completion": 1, "rating": 10, "rewatched": True, "duration_ratio": 5}, 1.0),
        ({"completion": 0, "duration_ratio": -3}, 0.0),
    ],
)
def test_signal(facts, signal):
    assert watch_signal(**facts) == pytest.approx(signal)


def test_learning_rate_stays_between_its_bounds_and_takes_arrays():
    assert float(learning_rate(0.5, 0.5)) == pytest.approx(0.3 * 1.5 * 0.75)
    assert learning_rate(np.array([0.1, 0.95]), np.array([1.0, 0.0])) == pytest.approx([0.57, 0.1575])
    assert float(learning_rate(-5, 1)) == pytest.approx(0.7)
    assert float(learning_rate(2, 1)) == pytest.approx(0.1)


def test_confidence_and_affinity_move_and_stay_in_bounds():
    assert moved_confidence(np.array([0.5, 0.5, 0.95, 0.1]), np.array([0.6, 0.5, 1, 0])) == pytest.approx(
        [0.55, 0.475, 0.95, 0.1]
    )
    assert moved_affinity(np.array([0.5, 0.5, 0.99, 0.01]), np.array([1.0, 0.4, 1.0, 0.5])) == pytest.approx(
        [0.6, 0.46, 1.0, 0.0]
    )


def test_a_profile_begins_with_the_first_vector_and_moves_toward_the_next():
    first = moved_preference(None, np.array([3, 4], dtype=np.float32), 0.5)
    assert first == pytest.approx([0.6, 0.8])
    moved = moved_preference(np.array([1, 0], dtype=np.float32), np.array([0, 1], dtype=np.float32), 0.25)
    assert moved == pytest.approx(np.array([0.75, 0.25]) / np.hypot(0.75, 0.25), abs=1e-6)
    assert moved.dtype == np.float32


def test_a_vector_that_says_nothing_leaves_the_profile():
    profile = np.array([0.6, 0.8], dtype=np.float32)
    assert moved_preference(profile, np.zeros(2, dtype=np.float32), 0.5) == pytest.approx(profile)
    assert moved_preference(profile, -profile, 0.5) == pytest.approx(profile)
    assert moved_preference(profile, -profile, 1.0) == pytest.approx(-profile)


def test_bad_profiles_are_refused():
    row = np.ones(2, dtype=np.float32)
    with pytest.raises(InvalidVectorError, match="first vector is zero"):
        moved_preference(None, 0 * row, 0.5)
    with pytest.raises(DimensionMismatchError, match="the profile 2"):
        moved_preference(row, np.ones(3, dtype=np.float32), 0.5)
    with pytest.raises(InvalidInputError, match="rate is 2"):
        moved_preference(row, row, 2)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), True, "1"])
def test_a_completion_outside_its_range_is_refused(bad):
    with pytest.raises(InvalidInputError, match="completion is"):
        watch_signal(bad)
