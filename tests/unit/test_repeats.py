"""A log that an outage does not flood."""

import asyncio
import logging

import pytest

from media_gateway.server.logs import JsonLines
from media_gateway.server.problems import request_id
from media_gateway.server.repeats import Repeats

pytestmark = pytest.mark.anyio

AWAY = "StoreUnavailableError: cannot reach db.example.org"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    form = JsonLines()
    return [form.format(record) for record in caplog.records]


async def test_the_first_of_a_kind_is_told_and_the_others_are_counted(caplog: pytest.LogCaptureFixture):
    repeats = Repeats(seconds=0.1)
    token = request_id.set("first-request")
    for number in range(500):
        repeats.tell(("/v1/search", "store-unavailable"), f"{AWAY}, {number}", where="POST /v1/search")
    repeats.tell(("/v1/stats", "store-unavailable"), AWAY, where="GET /v1/stats")
    request_id.reset(token)
    assert [record.getMessage() for record in caplog.records] == [f"{AWAY}, 0", AWAY]
    caplog.clear()
    await asyncio.sleep(0.15)
    (line,) = lines(caplog)
    assert '"count":499' in line
    assert f"499 more in 0.1 s, the last: {AWAY}, 499" in line
    assert '"where":"POST /v1/search"' in line
    assert '"level":"warning"' in line
    assert "first-request" not in line
    # A while without any, and it is over: the next one is the first again.
    await asyncio.sleep(0.15)
    repeats.tell(("/v1/search", "store-unavailable"), "again", where="POST /v1/search")
    assert [record.getMessage() for record in caplog.records] == ["repeated", "again"]
    repeats.close()


async def test_what_was_counted_last_is_told_at_the_end(caplog: pytest.LogCaptureFixture):
    repeats = Repeats(seconds=60)
    for _ in range(3):
        repeats.tell("kind", "a fault", where="GET /v1/stats", level=logging.ERROR)
    repeats.close()
    repeats.close()
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert '"count":2' in lines(caplog)[1]


async def test_a_fault_comes_with_its_kind_and_place_and_without_its_message(caplog: pytest.LogCaptureFixture):
    repeats = Repeats(seconds=60)
    try:
        {}["a private word"]
    except KeyError:
        repeats.tell("kind", "an error that nobody foresaw", where="GET /", level=logging.ERROR, with_trace=True)
    (line,) = lines(caplog)
    assert "KeyError" in line
    assert "test_repeats.py" in line
    assert "private" not in line
    repeats.close()
