"""Load, overload, and PostgreSQL killed under load: the short form of `tests/drill/test_service_soak.py`."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from tests import loaded
from tests.load import Outcome, asked_by, refusals_of, request, searches
from tests.loaded import CLIENTS, loaded_service, seconds_to_recover, tell
from tests.postgres import TestServer
from tests.services import Running

pytestmark = [pytest.mark.anyio, pytest.mark.full]
own_server, service = loaded.own_server, loaded.service


async def test_64_clients_are_all_answered(service: Running, capsys: pytest.CaptureFixture[str]) -> None:
    await asked_by(service.address, searches(service.address), clients=8, seconds=1)
    await loaded.assert_all_are_answered(service, capsys, seconds=6)


async def test_twice_what_it_can_do_is_shed_and_nobody_waits_long(
    service: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    await loaded.assert_overload_is_shed(service, capsys, measured=3, seconds=6)


async def test_postgres_killed_under_load(
    own_server: TestServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with loaded_service("postgres", tmp_path, own_server) as service:
        asked = [*searches(service.address), request(service.address, "GET", "/v1/stats")]
        load = asyncio.create_task(asked_by(service.address, asked, clients=CLIENTS, seconds=12))
        await asyncio.sleep(2)
        postmaster = own_server.embedded.status().pid
        assert postmaster is not None
        os.kill(postmaster, signal.SIGKILL)
        unready = await _until_ready_is(service, is_ready=False)
        await asyncio.sleep(2)
        await asyncio.to_thread(own_server.embedded.start)
        ready = await _until_ready_is(service, is_ready=True)
        seen = await load
        tell(capsys, unready_after=unready, ready_after=ready, **seen.as_json())
        assert unready < 2
        assert ready < 5
        assert set(seen.statuses) == {200, 503}, seen.as_json()
        assert not seen.failures
        assert {problem["code"] for problem in refusals_of(seen)} <= {"store-unavailable", "overloaded"}
        assert await seconds_to_recover(service, at_most=5) < 5


async def _until_ready_is(service: Running, *, is_ready: bool) -> float:
    """Return the seconds until readiness says so to somebody who asks beside the load."""
    began = time.monotonic()
    content = [request(service.address, "GET", "/health/ready")]
    while True:
        seen: Outcome = await asked_by(service.address, content, clients=1, seconds=0.02)
        if (seen.statuses[200] > 0 and seen.statuses[503] == 0) == is_ready:
            return time.monotonic() - began
        assert time.monotonic() - began < 10
