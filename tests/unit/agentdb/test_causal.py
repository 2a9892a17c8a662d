"""The doubly robust estimate on data whose effect is known."""

import numpy as np
import pytest

from media_gateway.agentdb.causal import doubly_robust


def _data(effect: float, *, seed: int, bend: float = 0.0, count: int = 4000):
    """A confounder x makes treatment likelier and outcomes better; *bend* makes the outcome no straight line of x."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=count)
    treated = generator.random(count) < 1 / (1 + np.exp(-x))
    outcome = 0.2 + effect * treated + 0.3 * x + bend * x**2 + generator.normal(0, 0.1, count)
    return treated, outcome, x[:, np.newaxis], np.arange(count)


@pytest.mark.parametrize("effect", [0.2, 0.0, -0.15])
def test_it_finds_the_effect_where_the_plain_difference_does_not(effect: float):
    found = doubly_robust(*_data(effect, seed=1))
    assert found.uplift == pytest.approx(effect, abs=0.015)
    assert abs(found.uplift - effect) < 4 * found.standard_error
    assert found.naive - effect > 0.2
    assert found.treated + found.untreated == 4000


def test_a_wrong_model_of_the_outcome_is_mended_by_that_of_the_treatment():
    treated, outcome, x, groups = _data(0.2, seed=2, bend=0.2)
    assert doubly_robust(treated, outcome, x, groups).uplift == pytest.approx(0.2, abs=0.04)


def test_a_wrong_model_of_the_treatment_is_mended_by_that_of_the_outcome():
    generator = np.random.default_rng(3)
    x = generator.normal(size=4000)
    treated = generator.random(4000) < np.where(np.abs(x) > 1, 0.85, 0.15)
    outcome = 0.2 * treated + 0.3 * x + generator.normal(0, 0.1, 4000)
    found = doubly_robust(treated, outcome, x[:, np.newaxis], np.arange(4000))
    assert found.uplift == pytest.approx(0.2, abs=0.02)


def test_confidence_is_calibrated_where_nothing_is_lifted():
    sure = [doubly_robust(*_data(0.0, seed=seed, count=400)).confidence > 0.95 for seed in range(200)]
    assert 0.005 < np.mean(sure) < 0.12


def test_the_error_covers_the_truth_as_often_as_it_says():
    found = [doubly_robust(*_data(0.1, seed=seed, count=400)) for seed in range(200)]
    covered = [abs(one.uplift - 0.1) < 1.96 * one.standard_error for one in found]
    assert np.mean(covered) > 0.9


def test_pairs_of_one_session_are_not_taken_for_independent():
    treated, outcome, x, groups = _data(0.1, seed=5, count=500)
    repeated = [np.repeat(part, 10, axis=0) for part in (treated, outcome, x, groups)]
    once, often = doubly_robust(treated, outcome, x, groups), doubly_robust(*repeated)
    assert often.standard_error == pytest.approx(once.standard_error, rel=0.05)


def test_equal_rewards_have_no_effect_and_no_division_by_zero():
    treated = np.arange(40) % 2 == 0
    found = doubly_robust(treated, np.full(40, 0.5), np.zeros((40, 2)), np.arange(40))
    assert found.uplift == pytest.approx(0, abs=1e-9)
    assert 0 <= found.confidence <= 1
