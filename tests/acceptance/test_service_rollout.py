"""A move to PostgreSQL that is steered through the service."""

import shutil
import time
from collections.abc import Iterator
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
