"""The console's Operations tab in a real browser: charts, a rollout that is steered, a transfer under way, the doctor."""

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

import psycopg
import pytest

from media_gateway.cli.addresses import url_of
from media_gateway.server.keys import Scope
from tests.acceptance.command import PROGRAM, SAMPLE_ROWS, Command
from tests.browser import Look, Tab, tab
from tests.postgres import TestServer
from tests.samples import records
from tests.services import Running, make_key, running, variables_of

pytestmark = [pytest.mark.full, pytest.mark.timeout(300)]

LOST = "movie-862"
QUESTION = "toys that come alive"
OTHERS = ("a heist in a dream", "detective in a rainy city", "politics and dragons", "lost in space", "a chef in Paris")
ARRIVING = 8_001
ROLLOUT = "section[aria-label=Rollout]"
SAID = f"{ROLLOUT} p[role=status]"
TRANSFERS = "section[aria-label=Transfers]"
DOCTOR = "section[aria-label=Doctor]"
REQUESTS = "section[aria-label=Requests]"
SLOW = """
CREATE FUNCTION a_moment() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.8); RETURN NULL; END';
CREATE TRIGGER a_moment BEFORE INSERT ON content_vectors FOR EACH STATEMENT EXECUTE FUNCTION a_moment();
"""


@dataclass(frozen=True, kw_only=True)
class Moving:
    """A service that moves from memory to PostgreSQL, where one record is missing that the move knows nothing of."""

    service: Running
    command: Command

    def state(self) -> dict[str, Any]:
        return self.service.client.get("/v1/rollout").json()

    def ask(self, *questions: str) -> None:
        with self.service.anonymous() as anybody:
            for question in questions:
                assert anybody.post("/v1/search", json={"text": question, "k": 10}).is_success

    def compare(self) -> None:
        """Have a search compared by which the missing record shows."""
        assert self.service.client.post("/v1/rollout", json={"mode": "shadow", "reason": "is it as good?"}).is_success
        self.ask(QUESTION)
        wait_until(lambda: LOST in json.dumps(self.state()["service"]["differing"]))


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def moving(memory: Command, postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    folder = tmp_path_factory.mktemp("moving")
    shutil.copytree(memory.folder / "data", folder / "data")
    database = postgres.new_database()
    variables = {"RUVECTOR_BACKEND": "postgres", **variables_of(database)}
    command = Command(folder=folder, variables=variables)
    assert command("rollout", "set", "off").code == 0
    with running(folder, **variables, RUVECTOR_RECALL_SAMPLE_SHARE="1") as service:
        found = Moving(service=service, command=command)
        wait_until(lambda: found.state()["service"]["is_complete"])
        with psycopg.connect(**database, autocommit=True) as connection:
            # As by a restore or a copy of files: past the triggers that the move hears of changes by.
            connection.execute("SET session_replication_role = replica")
            connection.execute("DELETE FROM content_vectors WHERE id = %s", [LOST])
        yield found


@contextmanager
def slow_transfer(moving: Moving, target: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """Run a resumable transfer to the database *target*, where each batch takes about a second."""
    url = f"postgres:{url_of(target)}"
    rows = [{"id": one.key, "vector": one.vector.tolist(), "metadata": {}} for one in records(ARRIVING, 4)]
    head = {"media_gateway": {"model": "m", "dimension": 4}}
    for name, some in (("first", rows[:1]), ("films", rows[1:])):
        lines = "\n".join(json.dumps(line) for line in [head, *some])
        moving.command.folder.joinpath(f"{name}.jsonl").write_text(lines)
    # Beside its own rollout the command would refuse to write.
    variables = {**moving.command.variables, "RUVECTOR_MEMORY_PATH": "data/another.snap"}
    command = Command(folder=moving.command.folder, variables=variables)
    first = command("transfer", "run", "--from", "first.jsonl", "--to", url)
    assert first.code == 0, first.err
    with psycopg.connect(**target, autocommit=True) as connection:
        connection.execute(SLOW)
    process = subprocess.Popen(
        [PROGRAM, "transfer", "run", "--from", "films.jsonl", "--to", url, "--resumable"],
        cwd=command.folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def operations(chromium: Any, address: str, look: Look = "light") -> Iterator[Tab]:
    with tab(chromium, address, look) as opened:
        opened.page.click("#tab-operations")
        opened.sees(f"{ROLLOUT} dl", "State")
        yield opened


def choose(opened: Tab, mode: str, why: str, percent: str = "") -> None:
    opened.page.select_option("#rollout-mode", mode)
    if percent:
        opened.page.fill("#rollout-percent", percent)
    opened.page.fill("#rollout-reason", why)
    opened.page.get_by_role("button", name="Set", exact=True).click()


def keep_asking(opened: Tab, moving: Moving, *, rounds: int) -> None:
    """Search while the charts go on by *rounds* readings."""
    for _ in range(rounds):
        former = opened.page.get_attribute(f"{REQUESTS} path", "d")
        moving.ask(*OTHERS, *OTHERS)
        opened.page.wait_for_function(
            "([path, former]) => document.querySelector(path).getAttribute('d') !== former",
            arg=[f"{REQUESTS} path", former],
        )


def test_charts_follow_what_is_asked(chromium: Any, moving: Moving) -> None:
    set_off = {"mode": "off", "reason": "the move begins"}
    assert moving.service.client.post("/v1/rollout", json=set_off).is_success
    with operations(chromium, moving.service.console) as opened:
        opened.sees(f"{REQUESTS} .reading", r"\d")
        keep_asking(opened, moving, rounds=6)
        for name, pattern in {
            "Search latency": r"p50\s+[\d.]+ ms\s+p95\s+[\d.]+ ms\s+p99\s+[\d.]+ ms",
            "Sampled recall": r"recall@k\s+[01]\.\d",
            "Connections": r"used\s+\d+\s+idle\s+\d+",
            "Embedding cache": r"\d+ %",
            "Sizes": rf"Records\s+{SAMPLE_ROWS - 1}.*content_vectors\s+[\d.]+ [KM]iB",
        }.items():
            opened.sees(f"section[aria-label='{name}']", pattern)
        opened.page.click("#doctor-run")
        opened.sees(f"{DOCTOR} p[role=status]", ".")
        opened.shoot("operations", whole=True)
        assert opened.complaints == []


def test_the_rollout_is_steered(chromium: Any, moving: Moving) -> None:
    with operations(chromium, moving.service.console) as opened:
        page = opened.page
        choose(opened, "shadow", "a look")
        opened.sees(SAID, r"rollout is shadow \(epoch \d+\); process \d+ switched")
        opened.sees(f"{ROLLOUT} dl", r"State\s+shadow.*By\s+key admin-.*Why\s+a look.*Reads\s+memory.*Copy\s+complete")
        moving.ask(QUESTION)
        opened.sees("#differences", rf"9 of 10\s+{LOST}\s+(movie|tv)-\d+")
        opened.sees(ROLLOUT, r"hits that agree\s+9\d\.\d %")
        choose(opened, "canary", "it looked good", "25")
        opened.sees(SAID, "rollout is canary 25 %")
        opened.sees(f"{ROLLOUT} dl", r"State\s+canary 25 %.*Written first\s+memory")
        choose(opened, "on", "so did canary")
        opened.sees(SAID, "rollout is on")
        opened.sees(f"{ROLLOUT} dl", r"State\s+on.*Reads\s+PostgreSQL\s+Written first\s+PostgreSQL")
        page.fill("#rollout-reason", "slow answers")
        page.get_by_role("button", name="Roll back now").click()
        opened.sees(SAID, "rollout is off")
        opened.sees(f"{ROLLOUT} dl", r"State\s+off.*Why\s+slow answers.*Reads\s+memory\s+Written first\s+memory")
        page.wait_for_function("() => document.getElementById('rollout-mode').value === 'off'")
        assert opened.complaints == []
    assert moving.state()["mode"] == "off"


def test_a_key_that_may_write_steers_nothing(chromium: Any, moving: Moving) -> None:
    moving.compare()
    former = moving.state()["epoch"]
    with moving.service.anonymous() as anybody:
        assert "differing" not in anybody.get("/v1/rollout").json()["service"]
    key = make_key(moving.service.folder, Scope.write)
    with operations(chromium, f"{moving.service.address}/#key={key}") as opened:
        refused = r"the key write-\w+ has the scope write; this needs admin"
        opened.sees(ROLLOUT, "An admin key shows which searches differed")
        choose(opened, "on", "in a hurry")
        opened.sees(f"{SAID}.problem", refused)
        opened.page.get_by_role("button", name="Roll back now").click()
        opened.sees(f"{SAID}.problem", refused)
        opened.page.click("#doctor-run")
        opened.sees(f"{DOCTOR} .problem", refused)
    assert moving.state()["epoch"] == former


def test_a_transfer_under_way(chromium: Any, moving: Moving, postgres: TestServer) -> None:
    moving.compare()
    with (
        operations(chromium, moving.service.console) as opened,
        slow_transfer(moving, postgres.new_database()) as process,
    ):
        opened.sees("#transfer-state", "^Under way$")
        opened.sees(TRANSFERS, r"records\s+\d+,000 of 8,000\s+a second\s+[1-9][\d,]+\s+time left\s+\d+ s")
        assert opened.page.locator(f"{TRANSFERS} [role=img]").get_attribute("aria-label") != "0 percent"
        keep_asking(opened, moving, rounds=2)
        opened.sees("#differences", LOST)
        opened.shoot("operations-moving", whole=True)
        opened.sees("#transfer-state", r"^Finished \d+ s ago$")
        opened.sees(TRANSFERS, r"records\s+8,000\s+data/transfers/\w+\.journal")
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out
        assert opened.complaints == []


def test_the_doctor_names_a_command_that_mends(chromium: Any, moving: Moving) -> None:
    with operations(chromium, moving.service.console) as opened:
        page = opened.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.click("#doctor-run")
        opened.sees(f"{DOCTOR} p[role=status]", r"\d+ findings?$")
        finding = page.locator(f"{DOCTOR} article", has_text="there is no backup in data/backups")
        command = finding.locator("code").inner_text()
        assert command == "media-gateway backup --backend postgres"
        finding.get_by_role("button", name="Copy").click()
        finding.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == command
        done = moving.command(*shlex.split(command)[1:])
        assert done.code == 0, done.err
        page.click("#doctor-run")
        opened.sees(f"{DOCTOR} p[role=status]", "Nothing is wrong|findings?$")
        assert finding.count() == 0
        assert opened.complaints == []


@pytest.mark.parametrize("look", get_args(Look))
def test_everybody_can_use_it(chromium: Any, moving: Moving, look: Look) -> None:
    moving.compare()
    with operations(chromium, moving.service.console, look) as opened:
        opened.sees(f"{REQUESTS} .reading", r"\d")
        opened.sees("#differences", LOST)
        assert opened.violations() == []
        assert opened.is_as_wide_as_its_window()
        opened.page.click("#doctor-run")
        opened.sees(f"{DOCTOR} p[role=status]", ".")
        assert opened.violations() == []
        assert opened.is_as_wide_as_its_window()
        if look != "light":
            keep_asking(opened, moving, rounds=4)
            opened.shoot(f"operations-{look}", whole=look != "phone")
        assert opened.complaints == []
