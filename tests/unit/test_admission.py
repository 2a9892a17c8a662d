"""The bounded queue and the buckets of tokens."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_gateway.server.admission import Admission, CallerGoneError, ShedError
from media_gateway.server.rates import RateLimits

pytestmark = pytest.mark.anyio


def staying() -> Coroutine[Any, Any, None]:
    return asyncio.sleep(60)


async def leaving() -> None:
    await asyncio.sleep(0.01)


def admission(at_once: int, waiting: int, seconds: float = 5) -> Admission:
    return Admission(most_at_once=at_once, most_waiting=waiting, seconds=seconds)


async def test_so_many_enter_so_many_wait_and_the_rest_is_turned_away_at_once():
    door = admission(2, 3)
    await door.enter(staying)
    await door.enter(staying)
    waiting = [asyncio.create_task(door.enter(staying)) for _ in range(3)]
    await asyncio.sleep(0)
    assert (door.in_flight, door.queued) == (2, 3)
    with pytest.raises(ShedError) as refused:
        await door.enter(staying)
    assert refused.value.reason == "queue-full"
    door.leave()
    await waiting[0]
    assert not waiting[1].done()
    assert (door.in_flight, door.queued) == (2, 2)
    for _ in range(4):
        door.leave()
    await asyncio.gather(*waiting)
    assert (door.in_flight, door.queued) == (0, 0)


async def test_nobody_waits_longer_than_the_time():
    door = admission(1, 5, 0.05)
    await door.enter(staying)
    with pytest.raises(ShedError) as refused:
        await door.enter(staying)
    assert refused.value.reason == "queue-timeout"
    assert (door.in_flight, door.queued) == (1, 0)
    door.leave()
    await door.enter(staying)


async def test_who_hangs_up_makes_room_for_others():
    door = admission(1, 1)
    await door.enter(staying)
    with pytest.raises(CallerGoneError):
        await door.enter(leaving)
    assert (door.in_flight, door.queued) == (1, 0)


async def test_who_is_cancelled_while_waiting_or_just_let_in_takes_no_room():
    door = admission(1, 2)
    await door.enter(staying)
    waiting = asyncio.create_task(door.enter(staying))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert door.queued == 0
    let_in = asyncio.create_task(door.enter(staying))
    await asyncio.sleep(0)
    door.leave()
    let_in.cancel()
    await asyncio.gather(let_in, return_exceptions=True)
    assert (door.in_flight, door.queued) == (0, 0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.02)), min_size=1, max_size=30))
def test_whatever_happens_the_room_is_free_in_the_end(happenings: list[tuple[int, float]]):
    async def one(door: Admission, kind: int, pause: float) -> None:
        try:
            await door.enter(leaving if kind == 1 else staying)
        except (ShedError, CallerGoneError):
            return
        try:
            assert door.in_flight <= 2
            await asyncio.sleep(pause)
        finally:
            door.leave()

    async def all_of_them() -> None:
        door = admission(2, 4, 0.01)
        tasks: list[asyncio.Task[None]] = []
        for kind, pause in happenings:
            tasks.append(asyncio.create_task(one(door, kind, pause)))
            if kind == 2:
                await asyncio.sleep(pause / 4)
                tasks[-1].cancel()
            assert door.queued <= 4
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} <= {type(None), asyncio.CancelledError}
        assert (door.in_flight, door.queued) == (0, 0)

    asyncio.run(all_of_them())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_what_was_saved_up_and_then_its_rate():
    clock = Clock()
    limits = RateLimits(burst=2, clock=clock)
    assert [limits.take("a", 10) for _ in range(20)] == [0.0] * 20
    assert limits.take("a", 10) == pytest.approx(0.1)
    assert limits.take("b", 10) == 0
    clock.now += 0.1
    assert limits.take("a", 10) == 0
    assert limits.take("a", 10) > 0
    clock.now += 1000
    assert [limits.take("a", 10) for _ in range(20)] == [0.0] * 20
    assert limits.take("a", 10) > 0


def test_slow_rates_let_one_through_and_none_is_no_limit():
    clock = Clock()
    limits = RateLimits(burst=1, clock=clock)
    assert limits.take("a", 0.1) == 0
    assert limits.take("a", 0.1) == pytest.approx(10)
    clock.now += 10
    assert limits.take("a", 0.1) == 0
    assert all(limits.take("b", 0) == 0 for _ in range(1000))


@given(st.lists(st.floats(0, 2), max_size=60), st.floats(0.5, 50), st.floats(0.1, 5))
def test_no_more_pass_than_the_rate_and_the_savings_allow(pauses: list[float], rate: float, burst: float):
    clock = Clock()
    limits = RateLimits(burst=burst, clock=clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        wait = limits.take("a", rate)
        passed += wait == 0
        assert wait <= 1 / rate + 1e-9
    assert passed <= max(1.0, rate * burst) + clock.now * rate + 1e-6
