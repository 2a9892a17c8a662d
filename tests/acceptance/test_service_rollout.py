"""A move to PostgreSQL that is steered through the service."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from media_gateway.server.keys import Scope
from tests.acceptance.command import Command
from tests.postgres import TestServer
from tests.services import Running, make_key, running, variables_of

pytestmark = pytest.mark.full


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    server = TestServer(tmp_path_factory.mktemp("pg"))
    yield server
    server.stop()


def set_to(service: Running, **body: Any) -> dict[str, Any]:
    answer = service.client.post("/v1/rollout", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_shadow_canary_and_back_while_postgres_is_away(memory: Command, server: TestServer, tmp_path: Path) -> None:
    shutil.copytree(memory.folder / "data", tmp_path / "data")
    variables = variables_of(server.new_database())
    command = Command(folder=tmp_path, variables={"RUVECTOR_BACKEND": "postgres", **variables})
    assert command("rollout", "set", "off").code == 0
    with running(tmp_path, RUVECTOR_BACKEND="postgres", **variables) as service:
        deadline = time.monotonic() + 30
        while not service.client.get("/v1/rollout").json()["service"]["is_complete"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        shadow = set_to(service, mode="shadow", reason="a look")
        assert (shadow["from"], shadow["to"], shadow["remarks"]) == ("off", "shadow", [])
        assert shadow["seconds"] < 5
        canary = set_to(service, mode="canary", percent=50)
        assert canary["to"] == "canary 50 %"
        with service.anonymous() as anybody:
            shown = anybody.get("/v1/rollout").json()
            assert (shown["mode"], shown["percent"], shown["who"]) == ("canary", 50, None)
            key = {"X-API-Key": make_key(tmp_path, Scope.write)}
            time.sleep(0.6)  # the file of keys is looked at twice a second
            assert anybody.post("/v1/rollout", json={"mode": "off"}, headers=key).status_code == 403
        assert service.client.get("/v1/rollout").json()["who"].startswith("key admin-")
        assert service.client.post("/v1/rollout", json={"mode": "canary", "percent": 120}).status_code == 422

        server.stop()
        # Memory is the truth still, so nobody notices.
        for number in range(20):
            found = service.client.post("/v1/search", json={"text": "a heist", "k": 3, "user": f"user-{number}"})
            assert len(found.json()["hits"]) == 3
        assert service.client.get("/health/ready").status_code == 200
        back = service.client.post("/v1/rollback", json={"reason": "PostgreSQL is away"}).json()
        assert (back["to"], back["recorded"]) == ("off", False)
        assert service.client.get("/v1/rollout").json()["postgres"] != "answers"
        server.embedded.start()


def test_a_service_that_began_without_a_rollout_follows_one_that_a_command_sets(
    server: TestServer, tmp_path: Path
) -> None:
    variables = variables_of(server.new_database())
    command = Command(folder=tmp_path, variables={"RUVECTOR_BACKEND": "postgres", **variables})
    (tmp_path / "data").mkdir()
    assert command("load", "sample").code == 0
    with running(tmp_path, RUVECTOR_BACKEND="postgres", **variables) as service:
        assert service.client.get("/v1/stats").json()["count"] == 614
        time.sleep(1)
        assert "from PostgreSQL alone" in command("rollout", "status").out
        done = command("rollout", "set", "canary", "25", "--reason", "without a restart")
        assert done.code == 0, done.err
        assert f"process {service.process.pid}" in done.out
        wait_until(lambda: shown(service)["truth"] == "memory")
        assert shown(service)["reads"] == "canary 25 %"
        history = command("rollout", "history", "--json").json()
        assert [entry["to"] for entry in history] == ["canary 25 %", "on"]
        # Until then the service answered from PostgreSQL; from now on a quarter of the users does.
        for number in range(80):
            body = {"text": "a heist", "k": 3, "user": f"user-{number}"}
            assert len(service.client.post("/v1/search", json=body).json()["hits"]) == 3
        # What the service tells of itself is a second old at most.
        wait_until(lambda: shown(service)["guard"]["searches"] >= 5)
        assert shown(service)["guard"]["searches"] <= 40
        assert 'media_gateway_rollout_mode{mode="canary"} 1.0' in service.client.get("/metrics").text
        film = {"id": 990001, "media_type": "movie", "title": "The Lighthouse Keeper"}
        assert service.client.post("/v1/contents", json={"contents": [film]}).status_code == 200
        done = command("rollout", "set", "on", "--json").json()
        assert done["seconds"] < 2
        assert shown(service)["truth"] == "postgres"
        back = command("rollback", "--json").json()
        assert back["seconds"] < 1
        assert back["verified"] == {"compared": 615, "differing": 0, "keys": []}
        assert service.client.get("/health/ready").status_code == 200
    lines = [line.get("message", "") for line in service.log()]
    assert any("this process takes part in the rollout" in line for line in lines)
    assert not [line for line in service.log() if line["level"] == "error"]


def test_a_service_under_the_kill_switch_says_that_it_must_be_started_anew(
    memory: Command, server: TestServer, tmp_path: Path
) -> None:
    shutil.copytree(memory.folder / "data", tmp_path / "data")
    variables = variables_of(server.new_database())
    command = Command(folder=tmp_path, variables={"RUVECTOR_BACKEND": "postgres", **variables})
    with running(tmp_path, RUVECTOR_BACKEND="memory", **variables) as service:
        time.sleep(1)
        done = command("rollout", "set", "off")
        assert (
            "serves from memory alone and follows no rollout: start it anew with RUVECTOR_BACKEND=postgres" in done.out
        )
        wait_until(lambda: "rollout" in service.client.get("/health/ready").text)
        ready = service.client.get("/health/ready")
        assert ready.status_code == 200
        assert "started anew with RUVECTOR_BACKEND=postgres" in ready.json()["checks"]["store"]["detail"]
        assert any("the backend is memory" in line.get("message", "") for line in service.log())
        assert service.client.get("/v1/stats").json()["details"]["rollout"]["follows"] is False
        found = json.loads(command("doctor", "--json", "--backend", "memory").out)
        assert "rollout_unfollowed" in [finding["code"] for finding in found["findings"]]
        film = {"id": 990002, "media_type": "movie", "title": "The Kill Switch"}
        assert service.client.post("/v1/contents", json={"contents": [film]}).json()["written"] == 1
    with running(tmp_path, RUVECTOR_BACKEND="postgres", **variables) as service:
        wait_until(lambda: shown(service)["is_complete"])
        assert command("rollout", "set", "on", "--json").json()["seconds"] < 2
        assert service.client.get("/v1/contents/movie-990002").status_code == 200


def shown(service: Running) -> dict[str, Any]:
    """Return what the service tells of itself, once it does."""
    wait_until(lambda: service.client.get("/v1/rollout").json()["service"] is not None)
    return service.client.get("/v1/rollout").json()["service"]


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
