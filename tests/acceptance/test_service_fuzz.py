"""Whatever the OpenAPI document allows, and much that it forbids, is answered as the document says, and never with 5xx."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import TestServer
from tests.services import Running, running, variables_of

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

SECONDS = 60
# What the document cannot say: that a vector has as many numbers as the collection's, that filters nest 32 deep at most,
# that the memory of this service holds no rollout. Such requests are refused although they fit their schema.
LEFT_OUT = "positive_data_acceptance"


@pytest.fixture
def service(postgres: TestServer, tmp_path: Path) -> Iterator[Running]:
    variables = variables_of(postgres.new_database())
    with running(tmp_path, RUVECTOR_BACKEND="postgres", **variables) as service:
        films = [{"id": number, "media_type": "movie", "title": f"Film {number}"} for number in range(1, 21)]
        assert service.client.post("/v1/contents", json={"contents": films}).json()["written"] == 20
        yield service


def test_no_request_finds_a_server_error_or_an_undocumented_answer(service: Running, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("run", f"{service.address}/openapi.json"),
            *("--header", f"X-API-Key: {service.client.headers['X-API-Key']}"),
            *("--max-time", str(SECONDS), "--max-examples", "60", "--seed", "1"),
            *("--exclude-checks", LEFT_OUT),
            *("--request-timeout", "20", "--continue-on-failure", "--no-color", "--generation-database", "none"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert [line for line in service.log() if line.get("status", 0) >= 500 or line["level"] == "error"] == []
    assert service.client.get("/health/ready").status_code == 200
    assert service.client.get("/v1/contents/movie-1").status_code in {200, 404}
