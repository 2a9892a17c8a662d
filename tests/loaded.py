"""The service with the sample catalogue, for load; what must hold under it, and how long it takes to be itself again."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.load import asked_at, asked_by, refusals_of, searches
from tests.postgres import TestServer
from tests.services import Running, running, variables_of

CLIENTS = 64


def tell(capsys: pytest.CaptureFixture[str], **figures: object) -> None:
    """Show *figures* on the terminal, also when the test passes."""
    with capsys.disabled():
        sys.stdout.write("\n" + json.dumps(figures) + "\n")


@contextmanager
def loaded_service(backend: str, folder: Path, server: TestServer | None = None) -> Iterator[Running]:
    """Run the service on *backend*, under `postgres` in a new database of *server*, until the block ends."""
    variables = {"RUVECTOR_BACKEND": backend}
    if server is not None and backend == "postgres":
        variables |= variables_of(server.new_database())
    Command(folder=folder, variables=variables)("load", "sample", "--json").json()
    with running(folder, **variables) as service:
        yield service


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A server that may be killed; modules take this fixture and the next one by an assignment."""
    server = TestServer(tmp_path_factory.mktemp("pg"))
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["memory", "postgres"])
def service(
    request: pytest.FixtureRequest, own_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """The service on each backend."""
    folder = tmp_path_factory.mktemp(f"load-{request.param}")
    with loaded_service(request.param, folder, own_server) as service:
        yield service


async def assert_all_are_answered(service: Running, capsys: pytest.CaptureFixture[str], *, seconds: float) -> None:
    """Have 64 clients search for *seconds*, each of which gets all its answers."""
    seen = await asked_by(service.address, searches(service.address), clients=CLIENTS, seconds=seconds)
    tell(capsys, backend=service.announced["backend"], clients=CLIENTS, **seen.as_json())
    assert set(seen.statuses) == {200}
    assert not seen.failures
    assert seen.percentile(0.99) < 5_000


async def assert_overload_is_shed(
    service: Running, capsys: pytest.CaptureFixture[str], *, measured: float, seconds: float
) -> None:
    """Ask for *seconds* twice as much as the service was able to in *measured* seconds, and see it recover."""
    able = await asked_by(service.address, searches(service.address), clients=CLIENTS, seconds=measured)
    seen = await asked_at(service.address, searches(service.address), rate=2 * able.throughput, seconds=seconds)
    tell(capsys, backend=service.announced["backend"], able=able.throughput, **seen.as_json())
    assert set(seen.statuses) == {200, 503}, seen.as_json()
    assert not seen.failures
    assert {problem["code"] for problem in refusals_of(seen)} == {"overloaded"}
    assert seen.throughput > able.throughput / 4
    assert seen.percentile(0.99) < 5_000
    assert await seconds_to_recover(service, at_most=5) < 5
    assert 'shed_total{reason="queue' in service.client.get("/metrics").text


async def seconds_to_recover(service: Running, *, at_most: float) -> float:
    """Return the seconds until all that four clients ask within half a second is answered with 200."""
    began = time.monotonic()
    while True:
        since = time.monotonic() - began
        seen = await asked_by(service.address, searches(service.address), clients=4, seconds=0.5)
        if set(seen.statuses) == {200} and not seen.failures:
            return since
        assert since < at_most, seen.as_json()
