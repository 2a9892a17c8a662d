"""What a user does with the command: load, search, find the like, look at the numbers; on both backends."""

import json
import re
import subprocess
from importlib.resources import files
from typing import Any

import httpx
import psycopg
import pytest

from media_gateway.embeddings import LocalEmbedder
from media_gateway.filters import Condition, GenresAny, MediaTypeIs, RatingBetween
from media_gateway.models import SearchRequest, SearchResult
from media_gateway.settings import Settings
from media_gateway.wiring import open_store
from tests.acceptance.command import SAMPLE_ROWS, Command

DATA = files("media_gateway") / "data"
SEARCHES = [
    ["search", "cartoon about toys", "--type", "movie", "-k", "5"],
    ["similar", "movie-27205", "--genre", "Science Fiction", "--from", "1990", "--min-rating", "7"],
]


def keys(hits: Any) -> list[str]:
    return [hit["key"] for hit in hits]


def test_search_prints_hits_for_programs(loaded: Command) -> None:
    hits = loaded.inside("search", "cartoon about toys", "--type", "movie", "--json", "-k", "3").json()
    assert "movie-862" in keys(hits)
    assert all(list(hit) == ["key", "score", "title", "media_type"] for hit in hits)
    assert {hit["media_type"] for hit in hits} == {"movie"}
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)


def test_search_prints_a_table_for_people_and_names_the_place(loaded: Command) -> None:
    done = loaded("search", "cartoon about toys", "--genre", "animation", "-k", "4")
    assert re.search(r"0\.\d{3}\s+Toy Story\s+1995\s+movie\s+movie-862", done.out)
    place = "the memory file data/memory.snap" if "memory" in loaded.folder.name else "the embedded PostgreSQL"
    assert place in done.out
    assert re.search(r"4 hits in \d+\.\d ms", done.out)


def test_filters_narrow_what_is_found(loaded: Command) -> None:
    where = '{"and": [{"metadata": "country", "equals": "JP"}, {"not": {"genres_any": [16]}}]}'
    done = loaded.inside("search", "samurai", "--where", where, "--to", "1985-12-31", "--max-rating", "9", "--json")
    titles = {hit["title"] for hit in done.json()}
    assert "Seven Samurai" in titles
    assert "Akira" not in titles
    assert loaded.inside("search", "samurai", "--min-score", "0.99", "--json").json() == []


def test_similar_leaves_the_record_itself_out(loaded: Command) -> None:
    hits = loaded.inside("similar", "movie-862", "--json", "-k", "3").json()
    assert len(hits) == 3
    assert "movie-862" not in keys(hits)
    assert "movie-863" in keys(hits)


def test_stats(loaded: Command) -> None:
    done = loaded.inside("stats", "--json").json()
    backend = loaded.variables.get("RUVECTOR_BACKEND", "memory")
    assert (done["count"], done["dimension"], done["backend"]) == (SAMPLE_ROWS, 384, backend)
    assert done["table_bytes"] > 0
    # So few records in memory are compared with all, without a graph.
    assert (done["index_bytes"] > 0) == (backend == "postgres")
    assert "index" in done
    assert f"{SAMPLE_ROWS}" in loaded.inside("stats").out


def test_loading_again_changes_nothing(loaded: Command) -> None:
    done = loaded.inside("load", "sample", "--json").json()
    assert (done["written"], done["unchanged"]) == (0, SAMPLE_ROWS)
    assert done["seconds"] < 20


def test_the_demo_shows_searches_and_what_to_try_next(demonstrated: Command) -> None:
    shown = demonstrated.folder.joinpath("demo.txt").read_text()
    assert f"{SAMPLE_ROWS} written, 0 unchanged, in the embedded PostgreSQL" in shown
    assert len(re.findall(r"5 hits in \d+\.\d ms", shown)) == 4
    again = demonstrated.inside("demo", "--json", "--no-serve").json()
    assert (again["loaded"]["written"], again["loaded"]["unchanged"]) == (0, SAMPLE_ROWS)
    assert [len(search["hits"]) for search in again["searches"]] == [5, 5, 5, 5]
    assert all(search["store_ms"] > 0 for search in again["searches"])


@pytest.mark.full
def test_the_demo_ends_by_serving_its_console(demonstrated: Command) -> None:
    try:
        shown = demonstrated("demo").out
        (url,) = re.findall(r"^  (http://127\.0\.0\.1:\d+/#key=\S+)$", shown, re.MULTILINE)
        address, _, fragment = url.partition("/#")
        key = dict(part.split("=") for part in fragment.split("&"))["key"]
        assert "<title>media-gateway console</title>" in httpx.get(address).text
        body = {"contents": [{"id": 862, "media_type": "movie", "title": "Mine"}]}
        assert httpx.post(f"{address}/v1/contents", json=body).status_code == 401
        liked = httpx.get(f"{address}/v1/users/carla/recommendations", params={"k": 3}, headers={"X-API-Key": key})
        assert len(liked.json()["items"]) == 3
        again = demonstrated("demo", "--json").json()["console"]
        assert again.startswith(address)
        assert again != url
    finally:
        assert "the console is stopped" in demonstrated("demo", "--stop").out
    assert "no console was running" in demonstrated("demo", "--stop").out


@pytest.mark.full
def test_what_the_demo_proposes_runs_as_written(demonstrated: Command) -> None:
    shown = demonstrated.folder.joinpath("demo.txt").read_text()
    proposed = [line.strip() for line in shown.partition("What to try next")[2].splitlines()[1:]]
    runnable = [line for line in proposed if "films.jsonl" not in line and "db stop" not in line]
    assert len(runnable) == 5
    for line in runnable:
        done = subprocess.run(
            line, shell=True, cwd=demonstrated.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (line, done.stderr)


@pytest.mark.parametrize("search", SEARCHES, ids=[" ".join(search)[:30] for search in SEARCHES])
def test_each_search_gives_the_same_keys_on_both_backends(
    memory: Command, embedded: Command, search: list[str]
) -> None:
    found = [keys(backend.inside(*search, "--exact", "--json").json()) for backend in (memory, embedded)]
    assert found[0] == found[1]
    assert found[0]


@pytest.mark.anyio
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "default"])
async def test_the_whole_catalogue_gives_the_same_order_on_both_backends(
    memory: Command, embedded: Command, exact: bool
) -> None:
    lines = DATA.joinpath("judged_queries.jsonl").read_text(encoding="utf-8").splitlines()
    embedder = LocalEmbedder()
    vectors = list(await embedder.embed([json.loads(line)["query"] for line in lines], "query"))
    await embedder.aclose()
    kept = await open_store(Settings.read(memory_path=memory.folder / "data/memory.snap"), writable=False)
    served = await open_store(
        Settings.read(backend="postgres", embedded_path=embedded.folder / "data/embedded"), space=kept.space
    )
    try:
        async for batch in kept.scan():
            vectors += [record.vector for record in batch]
        assert len(vectors) == len(lines) + SAMPLE_ROWS
        filters: list[Condition | None] = [None, MediaTypeIs("tv"), GenresAny([35, 16]) & RatingBetween(low=7.5)]
        for number, vector in enumerate(vectors):
            request = SearchRequest(vector=vector, where=filters[number % 3], exact=exact)
            first, second = await kept.search(request), await served.search(request)
            assert _same(first, second), number
    finally:
        await kept.aclose()
        await served.aclose()


def _same(first: SearchResult, second: SearchResult) -> bool:
    keys_agree = [hit.key for hit in first.hits] == [hit.key for hit in second.hits]
    scores_agree = all(abs(a.score - b.score) <= 1e-6 for a, b in zip(first.hits, second.hits, strict=True))
    return keys_agree and scores_agree


@pytest.mark.full
def test_db_status_url_and_psql(embedded: Command) -> None:
    status = embedded("db", "status", "--json").json()
    assert status["running"] is True
    assert status["embedded"] is True
    assert status["version"].startswith("18")
    assert status["extension"].startswith("vector 0.8")
    assert (status["applied"][0], status["pending"]) == (1, [])
    shown = embedded("db", "psql", "-Atc", "select count(*) from content_vectors")
    assert (shown.code, shown.out) == (0, f"{SAMPLE_ROWS}\n")
    assert "up to date" in embedded("db", "migrate").out


@pytest.mark.parametrize("options", [[], ["--tcp"]])
def test_db_url_is_one_line_that_a_client_takes(embedded: Command, options: list[str]) -> None:
    done = embedded.inside("db", "url", *options)
    (address,) = done.out.splitlines()
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT count(*) FROM content_vectors").fetchone() == (SAMPLE_ROWS,)


@pytest.mark.full
def test_the_embedded_server_as_somebodys_own(embedded: Command) -> None:
    address = embedded.inside("db", "url", "--tcp").out.strip()
    stats = embedded("stats", "--json", DATABASE_URL=address)
    assert stats.json()["count"] == SAMPLE_ROWS
    password = address.partition("media_gateway:")[2].partition("@")[0]
    assert password
    assert password not in stats.err + stats.out
    run = embedded.inside("db", "psql", "--json", DATABASE_URL=address).json()
    assert password not in json.dumps(run)
    shown = embedded("db", "psql", "-Atc", "select 7", DATABASE_URL=address)
    assert shown.out == "7\n", shown.err
    assert embedded.inside("db", "url", DATABASE_URL=address).out.strip() == address
    status = embedded.inside("db", "status", "--json", DATABASE_URL=address).json()
    assert (status["embedded"], status["pending"]) == (False, [])
