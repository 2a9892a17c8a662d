"""The service beside a PostgreSQL that is not there yet, is killed, and comes back."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.postgres import TestServer
from tests.services import Running, running, variables_of

FILM = {"id": 1, "media_type": "movie", "title": "The Lighthouse Keeper"}
SEARCH = {"text": "lighthouse", "k": 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    server = TestServer(tmp_path_factory.mktemp("pg"))
    yield server
    server.stop()


def is_ready(service: Running) -> bool:
    return service.client.get("/health/ready").status_code == 200


def seconds_until(holds: Callable[[], bool], *, at_most: float) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < at_most
        time.sleep(0.02)
    return time.monotonic() - began


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["code"] == "store-unavailable"


def test_it_starts_without_its_server_and_outlives_its_death(server: TestServer, tmp_path: Path) -> None:
    variables = variables_of(server.new_database())
    server.stop()
    with running(tmp_path, RUVECTOR_BACKEND="postgres", **variables) as service:
        assert service.announced["ready"] is False
        assert service.client.get("/health/live").status_code == 200
        assert_unavailable(service.client.post("/v1/search", json=SEARCH))

        server.embedded.start()
        seconds_until(lambda: is_ready(service), at_most=5)
        assert service.client.post("/v1/contents", json={"contents": [FILM]}).json()["written"] == 1
        checks = service.client.get("/health/ready").json()["checks"]
        assert set(checks) == {"gateway", "store", "pool", "schema", "index", "warm"}

        postmaster = server.embedded.status().pid
        assert postmaster is not None
        os.kill(postmaster, signal.SIGKILL)
        seconds_until(lambda: not is_ready(service), at_most=2)
        for method, path in (("POST", "/v1/search"), ("GET", "/v1/contents/movie-1"), ("GET", "/v1/stats")):
            assert_unavailable(service.client.request(method, path, json=SEARCH if method == "POST" else None))
        document = service.client.get("/health/ready").json()
        assert (document["code"], document["checks"]["store"]["passes"]) == ("not-ready", False)

        server.embedded.start()
        seconds_until(lambda: is_ready(service), at_most=5)
        assert service.client.post("/v1/search", json=SEARCH).json()["hits"][0]["key"] == "movie-1"
        assert service.client.post("/v1/search", json=SEARCH | {"mode": "hybrid"}).status_code == 200


def test_an_outage_does_not_flood_the_log_and_is_counted_whole(server: TestServer, tmp_path: Path) -> None:
    variables = variables_of(server.new_database())
    server.stop()
    asked = 120
    with running(tmp_path, RUVECTOR_BACKEND="postgres", **variables) as service:
        for number in range(asked):
            answer = service.client.post("/v1/search", json=SEARCH, headers={"X-Request-Id": f"outage-{number}"})
            assert_unavailable(answer)
        counted = 'media_gateway_http_requests_total{method="POST",route="/v1/search",status="503"} '
        (told,) = [line for line in service.client.get("/metrics").text.splitlines() if line.startswith(counted)]
        assert float(told.removeprefix(counted)) == asked
    lines = service.log()
    requests = [line for line in lines if line["event"] == "request" and line["status"] == 503]
    assert len(requests) == asked
    assert {line["code"] for line in requests} == {"store-unavailable"}
    warnings = [line for line in lines if "StoreUnavailableError: " in line.get("message", "")]
    assert warnings[0]["request_id"] == "outage-0"
    assert len(warnings) < 10
    assert sum(line.get("count", 1) for line in warnings) == asked
    server.embedded.start()
