"""The page about moving to PostgreSQL, gone through in its order beside the application that it shows."""

import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from media_gateway.database.server import EmbeddedServer
from tests.acceptance.command import SAMPLE_ROWS, Command
from tests.documents import ROOT, Block, blocks

PAGE = ROOT / "docs" / "howto" / "move-to-postgres.md"
STOP = "# Ctrl-C where the application runs"
LOOKS = {"status", "shadow", "history", "verify"}
"""Commands that change nothing: they are given again until they say what the page shows, or in vain."""
NUMBER = re.compile(r"-?\d[\d,.:]*(e-?\d+)?")
PATIENT = {"RUVECTOR_GUARD_LATENCY_MS": "10000"}
"""For the application: other tests that keep the machine busy must not trip the guard."""


@dataclass
class Reader:
    """Somebody who follows the page in *folder*, the application in another terminal."""

    folder: Path
    application: subprocess.Popen[str] | None = None
    stops: int = 0

    @property
    def written(self) -> list[str]:
        """The keys that the application was told are written."""
        path = self.folder / "written.txt"
        return path.read_text().split() if path.exists() else []

    def start(self, variables: dict[str, str], script: str) -> None:
        assert self.application is None
        command = Command(folder=self.folder, variables={**PATIENT, **variables})
        before = len(self.written)
        with (self.folder / "written.txt").open("a") as out, (self.folder / "said.txt").open("a") as err:
            self.application = subprocess.Popen(
                [sys.executable, script], cwd=self.folder, env=command._environment({}), stdout=out, stderr=err
            )
        self.wait_for_writes(before)

    def stop(self) -> None:
        assert self.application is not None
        self.application.send_signal(signal.SIGINT)
        assert self.application.wait(timeout=60) == 0, self.said
        self.application = None
        self.stops += 1

    @property
    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    def wait_for_writes(self, before: int) -> None:
        deadline = time.monotonic() + 40
        while len(self.written) <= before:
            assert self.application is not None
            assert self.application.poll() is None, self.said
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def follow(self, line: str, shown: list[str]) -> str:
        """Do what *line* of the page says and return what was printed, which is to hold the lines *shown*."""
        if line == STOP:
            self.stop()
            return ""
        words = shlex.split(line, comments=True)
        variables: dict[str, str] = {}
        while words and (match := re.fullmatch(r"([A-Z_]+)=(.*)", words[0])):
            variables[match[1]] = match[2]
            words = words[1:]
        if words[:1] == ["python"]:
            assert words[2:] == [">>", "written.txt"]
            self.start(variables, words[1])
            return ""
        assert words[0] == "media-gateway", line
        if self.application is not None and "verify" in words:
            # What is written between the copy and the comparison is what the page speaks of.
            self.wait_for_writes(len(self.written))
        return self._printed(words[1:], shown)

    def _printed(self, arguments: list[str], shown: list[str]) -> str:
        command = Command(folder=self.folder, variables={})
        deadline = time.monotonic() + 20
        while True:
            done = command.inside(*arguments)
            is_good = _code(shown) == done.code and set(shown) <= set(loosely(done.out + done.err))
            if is_good or not LOOKS & set(arguments) or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        assert done.code == _code(shown), (arguments, done)
        return done.err + done.out


def _code(shown: list[str]) -> int:
    return int(any("DIFFERENT" in line or line.startswith("Error: ") for line in shown))


def loosely(text: str) -> list[str]:
    """Return the lines of *text* without what differs from run to run: numbers, digests, names of machines, widths."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "#", text)
    text = re.sub(r"\S+@\S+?(?=:|\s|$)", "WHO", text)
    text = re.sub(r"/\S*/data/", "data/", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", "#", text)
    lines = [" ".join(NUMBER.sub("#", line).replace("─", " ").split()) for line in text.splitlines()]
    return [line for line in lines if line]


def walk(reader: Reader) -> Iterator[tuple[list[str], Block | None, str]]:
    """Follow the page, and yield the commands of each block, what the page shows for them, and what was printed."""
    found = blocks(PAGE)
    (script,) = [block for block in found if block.language == "python"]
    (reader.folder / "films.py").write_text(script.text)
    for block, following in zip(found, [*found[1:], None], strict=True):
        if block.language != "bash":
            continue
        shown = following if following is not None and not following.language else None
        lines = block.text.splitlines()
        printed = "".join(reader.follow(line, []) for line in lines[:-1])
        printed += reader.follow(lines[-1], [] if shown is None else loosely(shown.text))
        yield lines, shown, printed


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    try:
        yield reader
    finally:
        if reader.application is not None:
            reader.application.kill()
            reader.application.wait()
        EmbeddedServer(tmp_path / "data" / "embedded").stop()


@pytest.mark.full
def test_the_page_is_true_and_nothing_is_lost(reader: Reader) -> None:
    shown_blocks = 0
    for lines, shown, printed in walk(reader):
        if shown is not None:
            shown_blocks += 1
            missing = [line for line in loosely(shown.text) if line not in loosely(printed)]
            assert not missing, (lines, printed)
    assert shown_blocks >= 12
    reader.stop()
    assert "Traceback" not in reader.said
    assert "a rollout is recorded (on), but the backend is memory: writes are noted for PostgreSQL" in reader.said
    with psycopg.connect(**EmbeddedServer(reader.folder / "data" / "embedded").conninfo()) as connection:
        keys = {key for (key,) in connection.execute("SELECT id FROM content_vectors")}
    written = set(reader.written)
    assert len(written) == len(reader.written) > 10
    assert written <= keys
    # A record may be written and the signal come before that is told.
    assert 0 <= len(keys) - SAMPLE_ROWS - len(written) <= reader.stops
