"""Who reads from where."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_gateway.errors import InvalidRequestError
from media_gateway.models import SearchRequest
from media_gateway.rollout.policy import place_of, reading_side
from media_gateway.rollout.state import Mode, RolloutState, checked_mode, new_state

USERS = [f"user-{number}" for number in range(10_000)]


def state(mode: Mode, percent: float = 0, *, tripped: bool = False) -> RolloutState:
    return new_state(None, mode=mode, percent=percent, who="a", why="b", tripped=tripped)


def on_postgres(percent: float) -> set[str]:
    canary = state("canary", percent)
    return {user for user in USERS if reading_side(canary, SearchRequest(user=user)) == "postgres"}


def test_a_quarter_of_the_users_is_a_quarter_and_always_the_same():
    chosen = on_postgres(25)
    assert 0.235 <= len(chosen) / len(USERS) <= 0.265
    assert chosen == on_postgres(25)


def test_raising_the_percent_moves_users_to_the_new_store_and_none_back():
    shares = [on_postgres(percent) for percent in (1, 10, 25, 26, 50, 99)]
    for fewer, more in itertools.pairwise(shares):
        assert fewer < more


def test_the_places_are_the_same_on_every_machine_and_for_ever():
    assert place_of("user-1") == 0.22514884427942697
    assert place_of(b"user-1") == place_of("user-1")


@given(st.text())
def test_a_place_lies_within_0_and_1(user: str):
    assert 0 <= place_of(user) < 1


def test_without_a_user_the_request_decides():
    canary = state("canary", 50)
    vectors = np.random.default_rng(1).standard_normal((400, 8)).astype(np.float32)
    sides = [reading_side(canary, SearchRequest(vector=vector)) for vector in vectors]
    assert 150 < sides.count("postgres") < 250
    assert sides == [reading_side(canary, SearchRequest(vector=vector.copy())) for vector in vectors]
    assert {reading_side(canary, SearchRequest(text=f"word {n}")) for n in range(20)} == {"memory", "postgres"}


@pytest.mark.parametrize(("mode", "side"), [("off", "memory"), ("shadow", "memory"), ("on", "postgres")])
def test_the_other_modes_send_everybody_to_one_store(mode: Mode, side: str):
    assert {reading_side(state(mode), SearchRequest(user=user)) for user in USERS[:50]} == {side}


def test_what_tripped_reads_from_memory():
    assert reading_side(state("on", tripped=True), SearchRequest(user="a")) == "memory"
    assert reading_side(state("canary", 99.9, tripped=True), SearchRequest(user="a")) == "memory"


def test_modes_are_checked():
    assert checked_mode("canary", 25) == ("canary", 25.0)
    assert (checked_mode("on", None), checked_mode("off", None)) == (("on", 100.0), ("off", 0.0))
    for mode, percent in [
        ("canary", None),
        ("canary", 0),
        ("canary", 100),
        ("canary", float("nan")),
        ("on", 50),
        ("of", None),
    ]:
        with pytest.raises(InvalidRequestError, match="expected|only canary"):
            checked_mode(mode, percent)
