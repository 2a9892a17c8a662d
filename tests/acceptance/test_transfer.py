"""`transfer` as a user runs it: plan, run, verify, there and back, and every refusal in one sentence."""

import asyncio
import hashlib
import json
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from media_gateway.cli.addresses import url_of
from media_gateway.models import VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.memory import open_memory_store
from media_gateway.wiring import open_postgres
from tests.acceptance.command import Command, assert_refused
from tests.postgres import TestServer
from tests.samples import records

COUNT = 1_500
MEMORY = "memory:data/memory.snap"


@pytest.fixture
def films(command: Command) -> Command:
    """The command in a folder with a memory store."""

    async def fill() -> None:
        space = VectorSpace(model="m", dimension=16)
        store = await open_memory_store(command.folder / "data/memory.snap", space=space)
        await store.upsert(records(COUNT, 16))
        await store.aclose()

    asyncio.run(fill())
    return command


@pytest.fixture
def database(postgres: TestServer) -> dict[str, Any]:
    return postgres.new_database()


def transfer(command: Command, what: str, source: str, target: str, *more: str) -> Any:
    return command.inside("transfer", what, "--from", source, "--to", target, *more)


async def claim(database: dict[str, Any]) -> None:
    """Make the collection, empty, that the films fit into."""
    settings = Settings.read(backend="postgres", database_url=url_of(database))
    store = await open_postgres(settings, space=VectorSpace(model="m", dimension=16))
    await store.aclose()


def report(command: Command, source: str, target: str) -> dict[str, Any]:
    return transfer(command, "verify", source, target, "--json", "-").json()


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_there_and_back(films: Command, database: dict[str, Any]) -> None:
    url = f"postgres:{url_of(database)}"
    plan = transfer(films, "plan", MEMORY, url, "--json").json()
    assert (plan["count"], plan["written"], plan["target_count"], plan["possible"]) == (COUNT, COUNT, 0, True)
    assert plan["space"] == {"model": "m", "dimension": 16}
    assert plan["disk_needed"] > COUNT * 64
    legs = [MEMORY, url, "films.parquet", "memory:back.snap"]
    for source, target in pairwise(legs):
        done = transfer(films, "run", source, target, "--json").json()
        assert (done["read"], done["written"], done["kept"]) == (COUNT, COUNT, 0)
    first = report(films, MEMORY, url)
    assert first["equal"]
    assert first["count_from"] == first["count_to"] == COUNT
    assert first["differences"] == []
    assert first["neighbours"]["overlap"] == 1.0
    last = report(films, "films.parquet", "memory:back.snap")
    assert (last["digest_to"], last["digest_from"]) == (first["digest_from"], first["digest_to"])
    said = transfer(films, "verify", MEMORY, url, "--json", "report.json")
    assert said.code == 0
    assert "equal" in said.out
    assert json.loads((films.folder / "report.json").read_text())["equal"] is True


def test_what_differs_is_named_and_the_exit_code_says_so(films: Command, database: dict[str, Any]) -> None:
    url = f"postgres:{url_of(database)}"
    assert transfer(films, "run", MEMORY, url).code == 0
    with psycopg.connect(**database, autocommit=True) as connection:
        connection.execute("DELETE FROM content_vectors WHERE id = 'movie-3'")
    done = transfer(films, "verify", MEMORY, url)
    assert done.code == 1
    assert "DIFFERENT" in done.out
    assert "movie-3" in done.out
    done = transfer(films, "verify", MEMORY, url, "--json", "-", "--limit", "5", "--queries", "0")
    assert done.code == 1
    found = json.loads(done.out)
    assert (found["equal"], found["neighbours"]) == (False, None)
    assert [(one["key"], one["kind"]) for one in found["differences"]] == [("movie-3", "missing")]
    plan = transfer(films, "plan", MEMORY, url, "--json")
    assert plan.code == 1
    assert json.loads(plan.out)["overlap"] == {"identical": COUNT - 1, "different": 0}
    assert "1,499 keys are in the target already" in plan.err
    assert transfer(films, "verify", MEMORY, url, "--limit", "0").out.splitlines()[-1] == "1 missing"


def test_a_dry_run_and_a_plan_write_nothing(films: Command, database: dict[str, Any]) -> None:
    before = contents(films.folder)
    for target in (f"postgres:{url_of(database)}", "memory:new/copy.snap", "new/films.parquet", "postgres"):
        for what, more in (("plan", []), ("run", ["--dry-run"]), ("run", ["--dry-run", "--resumable"])):
            done = transfer(films, what, MEMORY, target, *more)
            assert done.code == 0, done.err
    in_one_step, by_batches = (
        json.loads(transfer(films, "plan", MEMORY, f"postgres:{url_of(database)}", "--json", *more).out)["seconds"]
        for more in ((), ("--resumable",))
    )
    assert by_batches > in_one_step
    assert contents(films.folder) == before
    assert not (films.folder / "new").exists()
    with psycopg.connect(**database, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'content%'").fetchone() == (0,)


def test_what_cannot_work_is_refused(films: Command, postgres: TestServer) -> None:

    async def filled() -> dict[str, Any]:
        other = await postgres.open_store(VectorSpace(model="another", dimension=8))
        await other.upsert(records(5, 8))
        await other.aclose()
        return dict(other.endpoint.conninfo)

    url = f"postgres:{url_of(asyncio.run(filled()))}"
    plan = transfer(films, "plan", MEMORY, url)
    assert plan.code == 1
    assert "refused: another dimension: the source holds vectors of m (16 numbers)" in plan.err
    assert_refused(transfer(films, "run", MEMORY, url), "m (16 numbers)", "another (8 numbers)")
    assert_refused(transfer(films, "run", "memory:none.snap", "postgres"), "holds no collection yet")
    assert not (films.folder / "none.snap.lock").exists()
    assert_refused(transfer(films, "run", MEMORY, "a.npz", "--resumable"), "leave --resumable out")
    assert_refused(transfer(films, "run", MEMORY, "a.npz", "--conflicts", "merge"), "--conflicts is 'merge'")
    assert_refused(transfer(films, "run", MEMORY, "a.npz", "--model", "x"), "leave --model out")
    assert_refused(transfer(films, "run", MEMORY, "a.npz", "--journal", "j"), "--journal was given without")
    assert_refused(transfer(films, "run", "none.parquet", "postgres"), "No such file")
    secret = "postgres:postgresql://ann:s3cret@127.0.0.1:1/x"
    refused = transfer(films, "run", MEMORY, secret)
    assert_refused(refused, "ann@127.0.0.1:1/x")
    assert "s3cret" not in refused.err
    # Nothing was begun, so there is nothing to go on with.
    refused = transfer(films, "run", MEMORY, secret, "--resumable")
    assert_refused(refused, "ann@127.0.0.1:1/x")
    assert "go on with" not in refused.err
    assert list(films.folder.glob("data/transfers/*")) == []


def test_a_resumable_run_that_is_stopped_goes_on(films: Command, database: dict[str, Any]) -> None:
    url = f"postgres:{url_of(database)}"
    (films.folder / "data/transfers").mkdir()

    def has_begun() -> bool:
        return any(b'"begin"' in path.read_bytes() for path in (films.folder / "data/transfers").iterdir())

    asyncio.run(claim(database))
    words = ("transfer", "run", "--from", MEMORY, "--to", url, "--resumable")
    with psycopg.connect(**database) as connection:
        # The run waits here with its first batch, however fast the machine is.
        connection.execute("LOCK TABLE content_vectors IN EXCLUSIVE MODE")
        stopped = films.stopped(signal.SIGINT, has_begun, *words)
    assert stopped.code == 130, stopped.err
    assert "go on with: media-gateway transfer run --from memory:data/memory.snap --to" in stopped.err
    refused = films.inside(*words, "--conflicts", "skip")
    assert_refused(refused, "with conflicts 'fail', but this one has 'skip'")
    done = films.inside(*words, "--json").json()
    assert (done["read"], done["written"], done["went_on"]) == (COUNT, COUNT, True)
    assert report(films, MEMORY, url)["equal"]
    again = films.inside(*words)
    assert again.code == 0
    assert "was finished before, nothing was done" in again.out


def test_a_run_in_one_step_that_is_stopped_leaves_nothing(films: Command, database: dict[str, Any]) -> None:
    words = ("transfer", "run", "--from", MEMORY, "--to", f"postgres:{url_of(database)}")

    def is_copying() -> bool:
        with psycopg.connect(**database, autocommit=True) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'"
            ).fetchone()
        return row != (0,)

    stopped = films.stopped(signal.SIGTERM, is_copying, *words)
    with psycopg.connect(**database, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM content_vectors").fetchone()
    assert (stopped.code, row) in [(143, (0,)), (0, (COUNT,))], stopped.err
