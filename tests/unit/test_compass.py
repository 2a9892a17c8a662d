"""Where walks begin that the query's own place would lead astray, and how far they go."""

import numpy as np
import pytest

from media_gateway.models import Matrix, Vector
from media_gateway.stores.postgres.compass import LEAST_TRIALS, Compass, Trial
from media_gateway.vector_math import units
from tests.samples import clustered

ROWS = units(clustered(8_000, 32))
PASSES = ROWS[:, 0] > np.quantile(ROWS[:, 0], 0.8)
FAR = ROWS[np.argsort(ROWS[:, 0])[:50]]
"""Queries from the other end of what passes."""
KEYS = [f"movie-{number}" for number in range(10)]


def compass(passing: Matrix, *, most: int = 2_000, target: float = 0.95) -> Compass:
    return Compass(passing, ROWS[::8].mean(axis=0), most=most, target=target)


def learn(lead: Compass, places: dict[str, int], *, scanned: float = 1.0) -> None:
    lead.learn(Trial(expected=KEYS, scanned=scanned, places=places, walked=lead.walks[-1] / 10_000))


def best(query: Vector) -> list[int]:
    """Return the ten rows most like *query* among those that pass."""
    scores = np.where(PASSES, ROWS @ query, -2)
    return np.argsort(-scores)[:10].tolist()


def places(start: Vector) -> dict[int, int]:
    """Return for each row at which place a perfect walk from *start* comes to it."""
    return {row: place for place, row in enumerate(np.argsort(-(ROWS @ start)).tolist(), 1)}


def test_a_walk_from_where_it_leads_comes_sooner_to_the_best_of_what_passes() -> None:
    drawn = ROWS[::8][PASSES[::8]]
    lead = compass(drawn)
    straight, led = np.array(
        [
            [
                np.mean([there[row] <= 400 for row in best(query)])
                for there in (places(query), places(lead.start(query)))
            ]
            for query in FAR
        ]
    ).mean(axis=0)
    assert led > 0.9
    assert straight < 0.5
    start = lead.start(FAR[0] * 7)
    assert start.dtype == np.float32
    assert np.linalg.norm(start) == pytest.approx(1)
    assert start.tolist() == pytest.approx(lead.start(FAR[0]).tolist(), abs=1e-6), "a query's length says nothing"


def test_the_shortest_walk_is_taken_that_surely_finds_enough() -> None:
    lead = compass(ROWS[:50])
    for _ in range(LEAST_TRIALS - 1):
        learn(lead, dict.fromkeys(KEYS, 250))
    assert (lead.trials, lead.walk) == (LEAST_TRIALS - 1, None), "too few answers to go by"
    learn(lead, dict.fromkeys(KEYS, 250))
    assert lead.walk == 300
    # One answer in nine of which half was missed: .944 on the average.
    for _ in range(2):
        learn(lead, dict.fromkeys(KEYS[:5], 100) | dict.fromkeys(KEYS[5:], 700))
    assert lead.walk == 800
    for _ in range(60):
        learn(lead, {})
    assert lead.walk is None
    assert not lead.wants_trial, "none of its walks will do"


def test_the_mean_alone_is_not_believed() -> None:
    lead = compass(ROWS[:50])
    for number in range(LEAST_TRIALS):
        found = KEYS if number % 8 else KEYS[:6]
        learn(lead, dict.fromkeys(found, 1))
    assert lead.walk is None, "the mean of .95 is one that half of all samples would flatter"


def test_walks_that_take_longer_than_a_scan_are_tried_no_more() -> None:
    lead = compass(ROWS[:50])
    assert lead.walks[-1] == 1_600
    learn(lead, dict.fromkeys(KEYS, 1), scanned=0.01)
    assert lead.walks[-1] == 1_600, "one time may be off"
    for _ in range(LEAST_TRIALS):
        learn(lead, dict.fromkeys(KEYS, 1), scanned=0.05)
    assert lead.walks[-1] == 300, "375 rows are walked in three quarters of that time"
    assert lead.walk == 200
    while lead.wants_trial:
        learn(lead, dict.fromkeys(KEYS, 1), scanned=0.001)
    assert (list(lead.walks), lead.walk, lead.wants_trial) == ([], None, False)


@pytest.mark.parametrize(("most", "passing"), [(199, 50), (2_000, 0)])
def test_nothing_is_tried_that_is_not_worth_it(most: int, passing: int) -> None:
    lead = compass(ROWS[:passing], most=most)
    assert list(lead.walks) == []
    assert not lead.wants_trial
    assert lead.choose() is None


def test_one_of_many_searches_is_compared_with_a_scan() -> None:
    lead = compass(ROWS[:50])
    for _ in range(LEAST_TRIALS):
        learn(lead, dict.fromkeys(KEYS, 1))
    chosen = [lead.choose() for _ in range(100)]
    assert chosen.count(None) == 2
    assert set(chosen) == {200, None}
    assert lead.wants_trial
