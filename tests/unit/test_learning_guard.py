"""The guard of the weights: what is promoted, what is rejected, and when clicks have fallen."""

import numpy as np
import pytest

from media_gateway.learning.guard import Clicks, Shadow, compared, fell, ndcg


def shadow_of(differences: "np.ndarray[tuple[int], np.dtype[np.float64]]", current: float = 0.3) -> Shadow:
    count = float(len(differences))
    sums = [count, count * current, count * current + differences.sum(), differences.sum(), (differences**2).sum()]
    return Shadow.of(np.array(sums))


@pytest.mark.parametrize(
    ("mean", "count", "expected"),
    [(0.05, 400, "promote"), (-0.05, 400, "reject"), (0.0, 4000, None), (0.05, 100, None), (0.0005, 100_000, None)],
)
def test_only_a_better_one_that_is_surely_better_is_promoted(mean: float, count: int, expected: str | None) -> None:
    noise = np.resize([0.1, -0.1], count)
    assert shadow_of(noise + mean).verdict() == expected


def test_by_chance_hardly_anything_is_decided() -> None:
    chance = np.random.default_rng(4)
    decided = [shadow_of(chance.normal(0, 0.2, 500)).verdict() for _ in range(1000)]
    assert len([one for one in decided if one is not None]) <= 5


def test_ndcg() -> None:
    values = np.array([3.0, 2.0, 1.0, 0.0])
    assert ndcg(values, np.array([True, False, False, False])) == pytest.approx(1.0)
    assert ndcg(values, np.array([False, True, False, False])) == pytest.approx(1 / np.log2(3))
    assert ndcg(np.zeros(30), np.arange(30) < 3) == 0.0
    assert ndcg(values, np.zeros(4, dtype=bool)) == 0.0
    sums = compared(
        np.eye(4), np.array([True, False, False, False]), np.array([0.0, 1, 0, 0]), np.array([1.0, 0, 0, 0])
    )
    assert sums[2] > sums[1]
    assert sums[3] == pytest.approx(sums[2] - sums[1])


def test_clicks_of_few_or_by_few_say_nothing() -> None:
    def clicks(mean: float, users: int = 400, shown: int = 4000) -> Clicks:
        return Clicks(users=users, shown=shown, mean=mean, variance=0.01)

    assert fell(clicks(0.05), clicks(0.10))
    assert not fell(clicks(0.10), clicks(0.10))
    assert not fell(clicks(0.10), clicks(0.05))
    assert not fell(clicks(0.05, users=20), clicks(0.10))
    assert not fell(clicks(0.05), clicks(0.10, shown=500))
