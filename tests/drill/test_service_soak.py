"""The service under load: a minute of 64 clients, twice what it can do, ten minutes of flat memory."""

import asyncio
from pathlib import Path

import pytest

from tests import loaded
from tests.load import asked_by, request, searches
from tests.loaded import tell
from tests.services import Running

pytestmark = [pytest.mark.anyio, pytest.mark.drill, pytest.mark.timeout(1800)]
SOAK_SECONDS = 600
SETTLED_SECONDS = 120
"""After which caches and pools have the size that they keep."""
MOST_GROWTH = 1.05

own_server, service = loaded.own_server, loaded.service


async def test_no_request_of_64_clients_fails_in_a_minute(service: Running, capsys: pytest.CaptureFixture[str]) -> None:
    await loaded.assert_all_are_answered(service, capsys, seconds=60)


async def test_it_sheds_twice_what_it_can_do_for_a_minute_and_recovers(
    service: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    await loaded.assert_overload_is_shed(service, capsys, measured=10, seconds=60)


async def test_its_memory_stays_flat_over_ten_minutes(service: Running, capsys: pytest.CaptureFixture[str]) -> None:
    key = service.client.headers["X-API-Key"]
    film = {"id": 990001, "media_type": "movie", "title": "The Lighthouse Keeper", "overview": "A storm."}
    asked = [
        *searches(service.address),
        request(service.address, "POST", "/v1/contents", {"contents": [film]}, key=key),
        request(service.address, "POST", "/v1/search", {"text": ""}),
        request(service.address, "POST", "/v1/contents", {"contents": [film]}),
        request(service.address, "GET", "/metrics"),
    ]
    load = asyncio.create_task(asked_by(service.address, asked, clients=16, seconds=SOAK_SECONDS))
    resident: list[int] = []
    while not load.done():
        await asyncio.sleep(5)
        resident.append(resident_bytes(service.process.pid))
    seen = await load
    settled, last = resident[SETTLED_SECONDS // 5], max(resident[-10:])
    tell(capsys, backend=service.announced["backend"], settled=settled, last=last, **seen.as_json())
    assert set(seen.statuses) == {200, 401, 422}
    assert not seen.failures
    assert last < settled * MOST_GROWTH


def resident_bytes(process: int) -> int:
    """Return the memory that *process* has in RAM."""
    fields = Path(f"/proc/{process}/statm").read_text().split()
    return int(fields[1]) * 4096
