"""`media-gateway monitor` as an operator uses it."""

import json
import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from media_gateway.monitoring.metrics import Metrics
from tests.acceptance.command import PROGRAM, SAMPLE_ROWS, Command, assert_refused


@pytest.fixture
def service() -> Iterator[str]:
    """The metrics of a service that has worked for a while."""
    metrics = Metrics()
    metrics.put("recall", lambda: {"recall_ratio": {("postgres",): 0.93}, "recall_target_ratio": 0.95})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Authorization"] != "Bearer a-key":
                self.send_error(401)
                return
            metrics.operation_seconds.labels("search", "postgres").observe(0.004)
            metrics.searches.labels("postgres", "index").inc()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(metrics.render())

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_once_as_json_it_tells_of_postgresql(embedded: Command) -> None:
    found = embedded.inside("monitor", "--once", "--json").json()
    postgres = found["postgres"]
    assert postgres["up"] is True
    assert postgres["records"] == SAMPLE_ROWS
    assert postgres["connections_max"] > 0
    assert postgres["oldest_transaction"] >= 0
    assert postgres["standbys"] == []
    assert "content_vectors_hnsw_idx" in {index["name"] for index in postgres["indexes"]}
    assert "content_vectors" in {table["name"] for table in postgres["tables"]}
    assert {disk["volume"] for disk in found["disks"]} == {"data", "database"}
    assert found["rollout"] is None
    assert found["transfer"] is None
    assert found["service"] is None


def test_for_people_it_shows_the_same(embedded: Command) -> None:
    done = embedded.inside("monitor", "--once", COLUMNS="200")
    assert done.code == 0, done.err
    for part in ("content_vectors_hnsw_idx", "clients", "standbys", "slow statement", "rollout    none", "backup"):
        assert part in done.out


def test_under_memory_no_postgresql_is_asked(memory: Command) -> None:
    found = memory.inside("monitor", "--once", "--json", POSTGRES_HOST="unreachable.invalid").json()
    assert (found["backend"], found["postgres"], found["rollout"]) == ("memory", None, None)
    assert [disk["volume"] for disk in found["disks"]] == ["data"]


def test_a_server_that_is_down_is_shown_and_not_started(command: Command) -> None:
    found = command.inside("monitor", "--once", "--json", RUVECTOR_BACKEND="postgres").json()
    assert found["postgres"]["up"] is False
    assert "embedded" in found["postgres"]["error"]
    assert not (command.folder / "data" / "embedded").exists()
    shown = command.inside("monitor", "--once", RUVECTOR_BACKEND="postgres")
    assert shown.code == 0
    assert "PostgreSQL is down" in shown.out


def test_a_transfer_and_a_backup_show(memory: Command, tmp_path: Path) -> None:
    journal = memory.folder / "data" / "transfers" / "a.journal"
    journal.parent.mkdir(parents=True)
    steps = [
        {"transfer": 1, "from": "a"},
        {"begin": "x", "rows": 10, "of": 25},
        {"done": "x", "last": "x", "read": 10, "written": 10, "kept": 0},
    ]
    journal.write_text("".join(json.dumps(step) + "\n" for step in steps))
    assert memory.inside("backup").code == 0
    try:
        found = memory.inside("monitor", "--once", "--json").json()
    finally:
        journal.unlink()
    assert (found["transfer"]["done"], found["transfer"]["expected"], found["transfer"]["finished"]) == (10, 25, False)
    assert found["backup"]["age_seconds"] < 60
    assert Path(found["backup"]["path"]).name.startswith("backup-")


def test_a_service_is_watched_too(memory: Command, service: str) -> None:
    found = memory.inside("monitor", "--once", "--json", "--service", service, RUVECTOR_API_KEY="a-key").json()[
        "service"
    ]
    assert found["up"] is True
    (searching,) = found["operations"]
    assert (searching["operation"], searching["store"]) == ("search", "postgres")
    # One observation between the two looks, a second apart.
    assert 0.5 < searching["per_second"] < 1.1
    assert 2.5 < searching["p95_ms"] <= 5
    (searches,) = found["searches"]
    assert (searches["recall"], searches["short"]) == (0.93, 0)
    shown = memory.inside("monitor", "--once", "--service", f"{service}/metrics", RUVECTOR_API_KEY="a-key")
    assert re.search(r"recall +postgres: 0\.930", shown.out)


@pytest.mark.parametrize(
    ("url", "said"), [("http://127.0.0.1:1", "cannot be reached"), (None, "RUVECTOR_API_KEY")], ids=["down", "no key"]
)
def test_a_service_that_cannot_be_read_is_shown_as_such(
    memory: Command, service: str, url: str | None, said: str
) -> None:
    found = memory.inside("monitor", "--once", "--json", "--service", url or service).json()["service"]
    assert found["up"] is False
    assert said in found["error"]


def test_what_is_no_address_is_refused(memory: Command) -> None:
    assert_refused(memory.inside("monitor", "--once", "--service", "file:///etc/passwd"), "--service is", "http://")


def test_it_goes_on_until_it_is_stopped_and_ends_well(memory: Command) -> None:
    command = [PROGRAM, "monitor", "--json", "--interval", "0.2"]
    with subprocess.Popen(
        command, cwd=memory.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        pictures = 0
        while pictures < 3:
            pictures += process.stdout.readline() == "}\n"
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0


def test_in_a_terminal_it_is_a_live_picture(memory: Command) -> None:
    ours, theirs = pty.openpty()
    shown = b""
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    command = [PROGRAM, "monitor", "--interval", "0.2"]
    with subprocess.Popen(
        command, cwd=memory.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        while shown.count(b"disk ") < 3:
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):
            while part := os.read(ours, 65536):
                shown += part
    os.close(ours)
    assert process.returncode == 0
    # The alternate screen is left, so the terminal is as it was.
    assert b"\x1b[?1049h" in shown
    assert b"\x1b[?1049l" in shown
