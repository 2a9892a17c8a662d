"""Ids of events: their time, their order, and that the same event has the same one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_gateway.errors import InvalidInputError
from media_gateway.learning.events import checked_event, derived_id, first_id, new_id, time_of
from media_gateway.learning.events.ids import is_time_ordered, last_id, milliseconds
from media_gateway.models import WatchEvent

TIMES = st.integers(min_value=0, max_value=2**42).map(lambda number: number / 1000)
EVENT = WatchEvent(user="ann", key="movie-1", time=1.7e9, completion=0.5)


@given(TIMES)
def test_an_id_has_the_time_that_it_was_made_of(time: float) -> None:
    made = new_id(time)
    assert time_of(made) == time
    assert is_time_ordered(made)
    assert made.variant == "specified in RFC 4122"
    assert first_id(time) <= made <= last_id(made)
    assert milliseconds(time_of(made)) == milliseconds(time)


@given(TIMES, TIMES)
def test_ids_are_in_the_order_of_their_times(one: float, two: float) -> None:
    if one != two:
        assert (new_id(one) < new_id(two)) == (one < two)
        assert (last_id(new_id(one)) < first_id(two)) == (one < two)


def test_an_event_has_one_id_and_every_difference_gives_another() -> None:
    others = [
        replace(EVENT, user="bob"),
        replace(EVENT, key="movie-2"),
        replace(EVENT, completion=0.6),
        replace(EVENT, rating=0.5, completion=None),
        replace(EVENT, action="click"),
        replace(EVENT, context={"page": 1}),
        replace(EVENT, time=EVENT.time + 0.001),
    ]
    assert derived_id(EVENT) == derived_id(replace(EVENT))
    assert len({derived_id(event) for event in [EVENT, *others]}) == 8
    assert derived_id(replace(EVENT, context={"a": 1, "b": 2})) == derived_id(replace(EVENT, context={"b": 2, "a": 1}))


def test_a_checked_event_is_one_of_whole_milliseconds_whose_id_agrees() -> None:
    checked = checked_event(replace(EVENT, time=1_700_000_000.12345))
    assert checked.time == 1_700_000_000.123
    assert checked.id is not None
    assert time_of(checked.id) == checked.time
    assert checked_event(checked) == checked
    with pytest.raises(InvalidInputError, match="of the event's own time"):
        checked_event(replace(checked, time=checked.time + 1))
