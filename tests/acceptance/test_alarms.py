"""Alarms: promtool on the rules, and a real Prometheus that reads the real service as the deployment has it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.acceptance.command import PROGRAM
from tests.acceptance.deployment import DEPLOY, PROMETHEUS, RULES, Query, panel_queries, rule_queries, rules
from tests.acceptance.prometheus import Prometheus, program, prometheus, wait_until
from tests.documents import ROOT
from tests.postgres import TestServer

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

WINDOW = "10s"
FILMS = 40
SILENT = re.compile(r"media_gateway_(rollout|transfer|learning|http_requests_shed|store_operation_errors)_\w+")
"""What a service without a rollout, a transfer, users' events, an overload or an error has nothing to tell of."""


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """What `prepare` left and the service that runs on it."""

    address: str
    key: Path
    folder: Path
    process: subprocess.Popen[str]
    variables: dict[str, str]

    def metrics(self) -> str:
        """Return what Prometheus reads."""
        headers = {"Authorization": f"Bearer {self.key.read_text().strip()}"}
        return httpx.get(f"{self.address}/metrics", headers=headers, timeout=10).raise_for_status().text


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """PostgreSQL with pgvector that asks for passwords over TCP, as the deployment's does; its owner's settings."""
    port = _free_port()
    server = TestServer(tmp_path_factory.mktemp("database"), port=port)
    with psycopg.connect(**server.conninfo("media_vectors"), autocommit=True) as connection:
        connection.execute("ALTER ROLE media_gateway PASSWORD 'of-the-owner'")
    yield {
        "RUVECTOR_BACKEND": "postgres",
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": str(port),
        "POSTGRES_PASSWORD": "of-the-owner",
        "POSTGRES_APP_PASSWORD": "of-the-service",
        "POSTGRES_MONITOR_PASSWORD": "of-the-watch",
    }
    server.stop()


@pytest.fixture(scope="module")
def deployed(database: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The service as the compose file runs it: prepared by the owner, logged in as a role of its own."""
    folder = tmp_path_factory.mktemp("service")
    key = folder / "scrape-key"
    done = _prepare(folder, database, key)
    assert done.returncode == 0, done.stderr
    service = {
        **database,
        "POSTGRES_USER": "media_gateway_app",
        "POSTGRES_PASSWORD": database["POSTGRES_APP_PASSWORD"],
        "RUVECTOR_AUTO_MIGRATE": "false",
        "RUVECTOR_HTTP_PORT": str(_free_port()),
        "RUVECTOR_SEARCH_LOG_SHARE": "1",
    }
    with _serving(folder, service, key) as running:
        # As `docker compose run --rm owner load` does, beside the service.
        films = "".join(
            json.dumps({"id": n, "media_type": "movie", "title": f"Film {n}"}) + "\n" for n in range(1, FILMS + 1)
        )
        (folder / "films.jsonl").write_text(films)
        _run([PROGRAM, "load", "films.jsonl"], folder, database)
        yield running


def _prepare(folder: Path, database: dict[str, str], key: Path) -> subprocess.CompletedProcess[str]:
    variables = {**database, "SCRAPE_KEY": str(key), "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [DEPLOY / "prepare.sh"],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def _run(command: list[Any], folder: Path, variables: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def _serving(folder: Path, variables: dict[str, str], key: Path) -> Generator[Deployed]:
    with (folder / "service.log").open("a") as log:
        process = subprocess.Popen(
            [PROGRAM, "serve"], cwd=folder, env={**os.environ, **variables}, stdout=log, stderr=log, text=True
        )
    address = f"http://127.0.0.1:{variables['RUVECTOR_HTTP_PORT']}"
    try:
        healthy = [sys.executable, DEPLOY / "healthy.py"]
        environment = {**os.environ, **variables}
        wait_until(
            lambda: subprocess.run(healthy, env=environment, capture_output=True, check=False).returncode == 0,
            "a service that is ready",
        )
        yield Deployed(address=address, key=key, folder=folder, process=process, variables=variables)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=40)


@pytest.fixture(scope="module")
def watched(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has read the service for some seconds, while it was used."""
    folder = tmp_path_factory.mktemp("prometheus")
    target = deployed.address.removeprefix("http://")
    with prometheus(folder, target=target, key=deployed.key, port=_free_port()) as running:
        wait_until(lambda: _value(running, 'up{job="media-gateway"}') == 1, "a target that is up")
        until = time.monotonic() + 8
        with httpx.Client(base_url=deployed.address, timeout=10) as client:
            while time.monotonic() < until:
                _use(client)
        wait_until(lambda: _value(running, "sum(media_gateway_searches_total)"), "searches that were counted")
        yield running


def _use(client: httpx.Client) -> None:
    assert client.post("/v1/search", json={"text": "a film about numbers", "k": 5}).status_code == 200
    assert client.get("/v1/contents/movie-1/similar").status_code == 200
    assert client.get("/v1/contents/movie-1").status_code == 200
    assert client.post("/v1/search", json={"k": 5}).status_code == 422


def _value(running: Prometheus, text: str) -> float | None:
    found = running.query(text)
    return float(found[0]["value"][1]) if found else None


def test_promtool_finds_the_configuration_right(tmp_path: Path) -> None:
    # It looks for the key too, which is made when the deployment starts.
    text = PROMETHEUS.read_text().replace("/run/scrape-key/key", str(tmp_path / "key"))
    (tmp_path / "key").write_text("mg_00000000_key\n")
    (tmp_path / "prometheus.yml").write_text(text)
    (tmp_path / "rules.yml").write_text(RULES.read_text())
    _run([program("promtool"), "check", "config", "prometheus.yml"], tmp_path, {})


def test_promtool_finds_the_rules_right() -> None:
    said = _run([program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", RULES.name], RULES.parent, {})
    assert "SUCCESS" in said


def test_every_alert_fires_when_it_should_and_not_else() -> None:
    tests = DEPLOY / "prometheus" / "rules_test.yml"
    _run([program("promtool"), "test", "rules", tests.name], tests.parent, {})
    text = tests.read_text()
    for rule in rules("alert"):
        name = rule["alert"]
        assert f"alertname: {name}, exp_alerts: []" in text, f"{name} is never seen quiet"
        assert f"docs/runbooks/{name}.md" in text.partition("exp_annotations")[2], f"{name} is never seen to fire"


def test_an_alert_tells_how_bad_it_is_and_where_to_read_on() -> None:
    for rule in rules("alert"):
        assert rule["labels"]["severity"] in {"critical", "warning"}
        page = rule["annotations"]["runbook_url"]
        assert page == f"docs/runbooks/{rule['alert']}.md"
        assert (ROOT / page).exists()
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_preparing_again_changes_nothing_under_a_running_service(deployed: Deployed, database: dict[str, str]) -> None:
    before = deployed.key.read_text()
    done = _prepare(deployed.folder, database, deployed.key)
    assert done.returncode == 0, done.stderr
    assert deployed.key.read_text() == before
    assert before.strip() not in done.stdout + done.stderr
    assert "media_gateway_build_info" in deployed.metrics()


def test_every_metric_that_a_rule_or_a_panel_names_is_there(deployed: Deployed) -> None:
    told = set()
    for line in deployed.metrics().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            told |= {f"{name}{part}" for part in ("_bucket", "_count", "_sum")} if kind == "histogram" else {name}
    recorded = {query.place for query in rule_queries("record")}
    for query in _queries():
        assert query.metrics | query.recorded, query.place
        assert query.metrics - told - {"up", "ALERTS"} == set(), query.place
        assert query.recorded <= recorded, query.place


def test_prometheus_judges_every_rule(watched: Prometheus) -> None:
    judged = [rule for group in watched.get("rules")["groups"] for rule in group["rules"]]
    assert len(judged) == len(rules("alert")) + len(rules("record"))
    wait_until(
        lambda: all(rule["health"] == "ok" for group in watched.get("rules")["groups"] for rule in group["rules"]),
        "rules that were judged",
    )


def test_every_expression_says_something_where_its_metrics_do(watched: Prometheus) -> None:
    """An expression that joins or filters by labels that are not there is always empty, and no alert tells."""
    present = set(watched.get("label/__name__/values"))
    for query in [*rule_queries("record"), *panel_queries()]:
        found = watched.query(query.resolved(WINDOW))
        if query.metrics | query.recorded <= present:
            assert found, query
            if query.legend and "{{" in query.legend:
                labels = {part.split("}}")[0].strip() for part in query.legend.split("{{")[1:]}
                assert labels <= set(found[0]["metric"]), query
        else:
            assert all(map(SILENT.fullmatch, query.metrics - present)), query


def test_a_sound_service_raises_no_alarm_and_one_that_is_gone_does(deployed: Deployed, watched: Prometheus) -> None:
    assert watched.firing() == set()
    deployed.process.send_signal(signal.SIGTERM)
    assert deployed.process.wait(timeout=40) == 0
    wait_until(lambda: "MediaGatewayDown" in watched.firing(), "the alarm")
    with _serving(deployed.folder, deployed.variables, deployed.key):
        wait_until(lambda: "MediaGatewayDown" not in watched.firing(), "the end of the alarm")


def _queries() -> list[Query]:
    return [*rule_queries("record"), *rule_queries("alert"), *panel_queries()]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
