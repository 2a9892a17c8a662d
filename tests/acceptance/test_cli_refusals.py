"""Bad input and bad weather: one sentence on stderr, exit code 1, and nothing changed."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.acceptance.command import SAMPLE_ROWS, Command, assert_refused
from tests.postgres import copy_cluster

ROW = {"id": 1, "media_type": "movie", "title": "One"}


def _truncated(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([ROW]), path)
    path.write_bytes(path.read_bytes()[:-9])


def _lines(*rows: object) -> Callable[[Path], object]:
    return lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in rows))


BAD_FILES: list[tuple[str, Callable[[Path], object], str]] = [
    ("a.parquet", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), "is a PNG image; expected Parquet"),
    ("a.parquet", _truncated, "is cut off"),
    ("a.jsonl", lambda path: path.write_bytes(gzip.compress(b"{}")), "is gzip-compressed data"),
    ("a.csv", lambda path: path.write_bytes(bytes(999)), "is binary data"),
    ("a.xlsx", lambda path: path.write_bytes(b""), "has the ending '.xlsx'"),
    ("missing.csv", lambda path: None, "cannot be read: No such file"),
    ("a.jsonl", _lines(ROW, {**ROW, "id": 2, "media_type": "person"}), "line 2: media_type is 'person'"),
    ("a.jsonl", _lines(ROW, {**ROW, "id": 2, "title": "a\0b"}), "line 2: title holds 'a\\x00b'"),
    ("a.jsonl", _lines(ROW, {**ROW, "title": "Again"}), "line 2: movie-1 was given on line 1 already"),
    ("a.jsonl", _lines({**ROW, "vector": [1, 2, 3]}), "name the model that made them with --model"),
]


@pytest.mark.parametrize(("name", "make", "said"), BAD_FILES, ids=[f"{case[0]}-{case[2][:20]}" for case in BAD_FILES])
def test_a_bad_file_writes_nothing(command: Command, name: str, make: Callable[[Path], object], said: str) -> None:
    make(command.folder / name)
    assert_refused(command.inside("load", name), name, said)
    assert not command.folder.joinpath("data/memory.snap").exists()


BAD_SEARCHES = [
    (["search", "toys", "-k", "0"], "k is 0; expected a whole number from 1 to 10,000"),
    (["search", "toys", "-k", "10001"], "k is 10001"),
    (["search", " "], "expected words to look for"),
    (["search", "--words", ""], "expected words to look for"),
    (["search", "--hybrid", "toys", "--text-weight", "-1"], "--text-weight is -1; expected a number from 0 to 1,000"),
    (["search", "toys", "--where", "{nonsense"], "is not JSON"),
    (["search", "toys", "--where", '{"title": "x"}'], "expected an object with one of media_type"),
    (["search", "toys", "--genre", "anime"], "genre 'anime' is not known"),
    (["search", "toys", "--from", "last year"], "expected a year such as 1999"),
    (["search", "toys", "--min-rating", "nan"], "rating low is nan; expected a finite number"),
    (["similar", "movie-0"], "no record has the key 'movie-0'"),
    (["similar", "movie-603", "-k", "10001"], "k is 10001"),
]


@pytest.mark.parametrize(("search", "said"), BAD_SEARCHES, ids=[" ".join(case[0]) for case in BAD_SEARCHES])
def test_a_bad_search_on_memory(memory: Command, search: list[str], said: str) -> None:
    assert_refused(memory.inside(*search, "--json"), said)


@pytest.mark.parametrize(("search", "said"), [BAD_SEARCHES[1], BAD_SEARCHES[10]], ids=["k", "key"])
def test_a_bad_search_on_postgres(embedded: Command, search: list[str], said: str) -> None:
    assert_refused(embedded.inside(*search), said)


def test_wrong_options_exit_with_2_and_say_how(command: Command) -> None:
    for arguments in (["search", "x", "--kind", "film"], ["seek"], ["search", "x", "-k", "ten"]):
        done = command.inside(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "Usage: " in done.err
        assert "Traceback" not in done.err


def test_a_type_or_a_backend_that_does_not_exist_is_one_sentence(command: Command) -> None:
    assert_refused(command.inside("search", "x", "--type", "book"), "--type is 'book'; expected 'movie' or 'tv'")
    assert_refused(
        command.inside("--backend", "redis", "stats"), "--backend is 'redis'; expected 'memory' or 'postgres'"
    )


def test_the_installed_command_refuses_without_a_traceback(memory: Command) -> None:
    assert_refused(memory("search", "toys", "-k", "0", "--json"), "k is 0")
    assert_refused(memory.inside("load", "data/memory.snap"), "has the ending '.snap'")
    wrong = memory("seek")
    assert (wrong.code, wrong.out) == (2, "")
    assert "Usage: media-gateway" in wrong.err
    assert "Traceback" not in wrong.err


def test_a_backend_that_does_not_exist(command: Command) -> None:
    assert_refused(command.inside("stats", RUVECTOR_BACKEND="nonsense"), "'memory'", "'postgres'", "'nonsense'")


@pytest.mark.parametrize("arguments", [["search", "toys"], ["load", "sample"], ["stats", "--json"], ["db", "status"]])
def test_no_server(command: Command, free_port: int, arguments: list[str]) -> None:
    nowhere = {"POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": str(free_port), "RUVECTOR_BACKEND": "postgres"}
    assert_refused(
        command.inside(*arguments, **nowhere), f"cannot reach media_gateway@127.0.0.1:{free_port}/media_vectors"
    )


def test_a_wrong_password(embedded: Command) -> None:
    address = embedded.inside("db", "url", "--tcp").out.strip()
    login, _, rest = address.partition("@")
    wrong = login.rpartition(":")[0] + ":sesame@" + rest
    done = embedded.inside("stats", DATABASE_URL=wrong)
    assert_refused(done, "refuses the login", "POSTGRES_PASSWORD")
    assert "sesame" not in done.err


def test_a_server_of_somebody_else_is_not_ours_to_start_or_stop(command: Command) -> None:
    for what in ("start", "stop"):
        assert_refused(command.inside("db", what, POSTGRES_HOST="db.example.org"), f"is not ours to {what}")


def test_a_server_that_was_stopped_stays_stopped_until_start(tmp_path: Path) -> None:
    command = Command(folder=tmp_path, variables={"RUVECTOR_BACKEND": "postgres"})
    copy_cluster(tmp_path / "data" / "embedded")
    try:
        assert command.inside("db", "start").code == 0
        assert command.inside("stats", "--json").json()["count"] == 0
        assert command.inside("db", "stop", "--json").json()["was_running"] is True
        assert_refused(command.inside("stats"), "was stopped by media-gateway db stop", "media-gateway db start")
        assert command.inside("db", "status", "--json").json()["running"] is False
        assert command.inside("db", "start").code == 0
        assert command("db", "psql", "-Atc", "select 1").out == "1\n"
    finally:
        command.inside("db", "stop")


def test_a_data_folder_that_cannot_be_made(command: Command) -> None:
    command.folder.joinpath("data").write_text("in the way")
    assert_refused(command.inside("load", "sample"), "data")
    assert_refused(command.inside("db", "start"), "data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(command: Command) -> None:
    command.folder.chmod(0o500)
    try:
        assert_refused(command("load", "sample"), "data")
    finally:
        command.folder.chmod(0o700)


def test_a_damaged_memory_file_is_named_and_left_alone(command: Command, memory: Command) -> None:
    damaged = bytearray(memory.folder.joinpath("data/memory.snap").read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    command.folder.joinpath("data").mkdir()
    path = command.folder / "data/memory.snap"
    path.write_bytes(damaged)
    assert_refused(command.inside("stats"), "data/memory.snap")
    assert_refused(command.inside("load", "sample"), "data/memory.snap")
    assert path.read_bytes() == bytes(damaged)


def test_an_empty_collection_says_what_to_do(command: Command) -> None:
    done = command.inside("search", "toys", "--json")
    assert done.json() == []
    assert "media-gateway load sample" in done.err
    assert command.inside("stats", "--json").json()["count"] == 0


def test_vectors_of_another_model_do_not_meet(memory: Command) -> None:
    memory.folder.joinpath("other.jsonl").write_text(json.dumps({**ROW, "vector": [1, 2, 3]}) + "\n")
    assert_refused(memory.inside("load", "other.jsonl", "--model", "other"), "all-MiniLM", "other (3 numbers)")
    assert memory.inside("stats", "--json").json()["count"] == SAMPLE_ROWS
