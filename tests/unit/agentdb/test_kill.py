"""A nightly run that is killed leaves all of itself or nothing."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from media_gateway.agentdb import open_agentdb
from tests.unit.agentdb.samples import DAY, NOW, causal_history, contents, copy_of_fixture, counts, episode, vectors

pytestmark = pytest.mark.anyio

RUN = """
import asyncio, sys
from media_gateway.agentdb import NewEpisode, open_agentdb
from media_gateway.agentdb.consolidation import ConsolidationRules
from media_gateway.agentdb.nightly import NightlyRules
from media_gateway.models import VectorSpace
from tests.unit.agentdb.samples import NOW, vectors

class Ready:
    space = VectorSpace(model="ready", dimension=384)
    async def embed(self, texts, purpose="document"):
        return vectors(len(texts))
    async def aclose(self):
        pass

async def main():
    async with await open_agentdb(sys.argv[1], embedder=Ready(), clock=lambda: NOW) as db:
        db._context.file._connection.execute("PRAGMA cache_size = 20")
        print("open", flush=True)
        await db.nightly(NightlyRules(consolidation=ConsolidationRules(min_attempts=1, min_reward=0.0)))
        print("done", flush=True)

asyncio.run(main())
"""
MOMENTS = 3
IN_THE_MIDDLE = (0.0, 0.003, 0.01)
"""Seconds after the journal has appeared, that is, while the run is being written."""


async def test_a_killed_run_leaves_all_or_nothing(tmp_path: Path):
    path = copy_of_fixture(tmp_path)
    start = path.with_name("start.db")
    async with await open_agentdb(path, clock=lambda: NOW - 40 * DAY) as db:
        many = [episode(f"m{number}", "many", vector=row) for number, row in enumerate(vectors(800))]
        await db.episodes.store_many([*causal_history(), *many])
    path.rename(start)
    path.write_bytes(start.read_bytes())
    took = _run(path, lambda: False)
    whole, nothing = counts(path), counts(start)
    assert whole["skills"] > nothing["skills"]
    assert whole["causal_edges"] > nothing["causal_edges"]
    assert whole["episodes"] < nothing["episodes"]
    generator = random.Random(1)
    moments = [took * (number + generator.random()) / MOMENTS for number in range(MOMENTS)]
    outcomes = [await _outcome(path, start, whole, _after(seconds)) for seconds in moments]
    journal = path.with_name(path.name + "-journal")
    outcomes += [await _outcome(path, start, whole, _once_there(journal, seconds)) for seconds in IN_THE_MIDDLE]
    assert "nothing" in outcomes


async def _outcome(path: Path, start: Path, whole: dict[str, int], is_time: Callable[[], bool]) -> str:
    path.write_bytes(start.read_bytes())
    _run(path, is_time)
    async with await open_agentdb(path) as db:
        assert await db.check() == []
    if counts(path) == whole:
        return "whole"
    assert contents(path) == contents(start)
    return "nothing"


def _after(seconds: float) -> Callable[[], bool]:
    begun: list[float] = []

    def is_time() -> bool:
        begun.append(time.monotonic())
        return time.monotonic() >= begun[0] + seconds

    return is_time


def _once_there(journal: Path, seconds: float) -> Callable[[], bool]:
    def is_time() -> bool:
        if not journal.exists():
            return False
        time.sleep(seconds)
        return True

    return is_time


def _run(path: Path, is_time: Callable[[], bool]) -> float:
    """Run the nightly job, killed when *is_time*; return how many seconds it took once the file was open."""
    with subprocess.Popen([sys.executable, "-c", RUN, str(path)], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "open\n"
        begun = time.monotonic()
        while job.poll() is None and not is_time():
            time.sleep(0.0005)
        job.kill()
        return time.monotonic() - begun
