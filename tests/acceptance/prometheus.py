"""Debian's Prometheus as a test runs it: with the deployment's configuration, on loopback, quicker than in earnest."""

import shutil
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.acceptance.deployment import PROMETHEUS, RULES

PATIENCE = 40.0
"""Seconds that something may take to come about."""


def program(name: str) -> str:
    """Return where `prometheus` or `promtool` is; skips the test where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; as root: apt-get install prometheus")
    return found


@dataclass(frozen=True, kw_only=True)
class Prometheus:
    """One that runs, asked by *client*."""

    client: httpx.Client

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data that its interface answers at *path*; fails with its words when it refuses."""
        answer = self.client.get(f"/api/v1/{path}", params=parameters)
        assert answer.json()["status"] == "success", (parameters, answer.text)
        return answer.json()["data"]

    def query(self, text: str) -> list[dict[str, Any]]:
        """Return the series that *text* has at this moment."""
        return self.get("query", query=text)["result"]

    def firing(self) -> set[str]:
        """Return the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"}


def wait_until(is_so: Callable[[], Any], what: str, *, seconds: float = PATIENCE) -> None:
    """Return as soon as *is_so*; fails after *seconds*."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not come about in {seconds:g} s"
        time.sleep(0.1)


@contextmanager
def prometheus(folder: Path, *, target: str, key: Path, port: int) -> Generator[Prometheus]:
    """Run one on *port* of loopback that reads *target* with *key*, by the deployment's configuration and rules.

    It reads each second, and tells that the service is down after one second, where in earnest that takes a minute.
    """
    (folder / "prometheus.yml").write_text(_configuration(target, key, port))
    (folder / "rules.yml").write_text(_hasty(RULES.read_text()))
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                wait_until(lambda: process.poll() is None and _is_ready(client), "a ready Prometheus")
                yield Prometheus(client=client)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _configuration(target: str, key: Path, port: int) -> str:
    configuration = yaml.safe_load(PROMETHEUS.read_text())
    configuration["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    service, itself = configuration["scrape_configs"]
    service["static_configs"] = [{"targets": [target]}]
    service["authorization"]["credentials_file"] = str(key)
    itself["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    return yaml.safe_dump(configuration)


def _hasty(text: str) -> str:
    rules = yaml.safe_load(text)
    for group in rules["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == "MediaGatewayDown":
                rule["for"] = "1s"
    return yaml.safe_dump(rules)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
