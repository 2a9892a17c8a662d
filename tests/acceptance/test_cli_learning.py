"""Events, learning and recommendations by the installed command, and over HTTP."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from media_gateway.cli.addresses import url_of
from tests.acceptance.command import Command, assert_refused
from tests.learning import SPACE, ratings
from tests.postgres import TestServer
from tests.samples import records
from tests.services import running


@pytest.fixture
def command(postgres: TestServer, tmp_path: Path) -> Command:
    async def loaded() -> dict[str, Any]:
        store = await postgres.open_store(SPACE)
        await store.upsert(records(40))
        await store.aclose()
        return dict(store.endpoint.conninfo)

    url = url_of(asyncio.run(loaded()))
    return Command(folder=tmp_path, variables={"RUVECTOR_BACKEND": "postgres", "DATABASE_URL": url})


def movielens(folder: Path) -> Path:
    """Write a folder in the format of ml-latest, whose films have the keys of the records."""
    folder.mkdir()
    films = [f'{n},"Film {n} (1999)",Drama' for n in range(1, 40)]
    links = [f"{n},{n},{n}" for n in range(1, 40)]
    rows = [
        f"{event.user.removeprefix('user-') or 0},{event.key.removeprefix('movie-')},{(event.rating or 0) / 2},{event.time:.0f}"
        for event in ratings(users=12, items=39, count=300)
        if event.user != "user-0" and event.key != "movie-0"
    ]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]) + "\n")
    (folder / "links.csv").write_text("\n".join(["movieId,imdbId,tmdbId", *links]) + "\n")
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows]) + "\n")
    return folder


def test_from_ratings_to_recommendations_and_back_to_nothing(command: Command, tmp_path: Path) -> None:
    folder = movielens(tmp_path / "ml")
    imported = command.inside("learn", "import", "movielens", str(folder), "--json").json()
    assert imported["new"] == imported["read"] > 200
    assert command.inside("learn", "import", "movielens", str(folder), "--json").json()["new"] == 0
    assert command.inside("learn", "status", "--json").json()["events"]["waiting"] == imported["new"]
    learned = command.inside("learn", "run", "--json").json()
    assert learned["events"] == imported["new"]
    status = command.inside("learn", "status", "--json").json()
    assert (status["events"]["waiting"], status["learned"]["likes"]) == (0, learned["likes"])
    before = command.inside("recommend", "3", "--json").json()
    assert len(before["items"]) == 10
    assert before["items"][0]["because"].startswith("movie-")
    assert before["items"][0]["reason"].startswith(("because you liked", "liked by"))
    watched = command.inside("watch", "3", before["items"][0]["key"], "--json").json()
    assert (watched["new"], watched["liked"], watched["is_there"], watched["learned_from"]) == (1, True, True, 1)
    after = command.inside("recommend", "3", "--json").json()
    assert before["items"][0]["key"] not in {item["key"] for item in after["items"]}
    assert after["likes"] == before["likes"] + 1
    shown = command.inside("recommend", "3", "-k", "3", "--type", "tv")
    assert "because you liked" in shown.out or "liked by" in shown.out
    exported = command.inside("learn", "export", "3").json()
    assert len(exported["liked"]) == after["likes"]
    assert exported["events"][-1]["action"] == "watch"
    assert_refused(command.inside("learn", "erase", "3"), "--yes")
    erased = command.inside("learn", "erase", "3", "--yes", "--json").json()
    assert (erased["events"], erased["likes"]) == (len(exported["events"]), after["likes"])
    assert command.inside("learn", "export", "3").json()["events"] == []
    again = command.inside("learn", "rebuild", "--yes", "--json").json()
    assert again["events"] == imported["new"] + 1 - erased["events"]


def test_the_memory_backend_says_where_learning_lives(tmp_path: Path) -> None:
    command = Command(folder=tmp_path, variables={})
    for words in (["watch", "ann", "movie-1"], ["recommend", "ann"], ["learn", "run"], ["learn", "status"]):
        assert_refused(command.inside(*words), "learning lives in PostgreSQL", "RUVECTOR_BACKEND=postgres")
    assert_refused(
        command.inside("learn", "import", "netflix", "x", "--backend", "postgres"), "expected movielens or agentdb"
    )


@pytest.mark.full
def test_over_http(postgres: TestServer, tmp_path: Path) -> None:
    conninfo = postgres.new_database()
    names = {"RUVECTOR_BACKEND": "postgres", "DATABASE_URL": url_of(conninfo)}
    with running(tmp_path, **names) as service:
        films = [{"id": number, "media_type": "movie", "title": f"Film {number}"} for number in range(1, 21)]
        service.client.post("/v1/contents", json={"contents": films}).raise_for_status()
        events: list[dict[str, Any]] = [
            {"user": user, "key": f"movie-{n}", "completion": 1.0} for user in ("ann/o", "bob") for n in range(1, 6)
        ]
        noted = service.client.post("/v1/events", json={"events": events})
        assert (noted.status_code, noted.json()) == (202, {"accepted": 10, "dropped": 0})
        bad = service.client.post("/v1/events", json={"events": [{"user": "ann", "key": "movie-1", "rating": 11}]})
        assert bad.status_code == 422
        assert bad.json()["field"].endswith("rating")
        command = Command(folder=tmp_path, variables=names)
        status = _until(
            lambda: command.inside("learn", "status", "--json").json(), lambda one: one["learned"]["likes"] == 10
        )
        assert status["events"]["kinds"]["watch"] == 10
        answer = service.client.get("/v1/users/ann%2Fo/recommendations", params={"k": 5})
        found = answer.json()
        assert (found["user"], found["likes"], len(found["items"])) == ("ann/o", 5, 5)
        assert not {f"movie-{n}" for n in range(1, 6)} & {item["key"] for item in found["items"]}
        where = json.dumps({"media_type": "tv"})
        assert service.client.get("/v1/users/bob/recommendations", params={"where": where}).json()["items"] == []
        shown = _until(
            lambda: command.inside("learn", "status", "--json").json(), lambda one: "exposure" in one["events"]["kinds"]
        )
        assert shown["events"]["kinds"]["exposure"] == 5


def _until(look: Any, holds: Any) -> Any:
    deadline = time.monotonic() + 30
    while True:
        seen = look()
        if holds(seen) or time.monotonic() > deadline:
            return seen
        time.sleep(0.3)
