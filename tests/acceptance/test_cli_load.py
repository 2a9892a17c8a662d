"""`load`: three forms of file, ready vectors, and being stopped in the middle."""

import csv
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.acceptance.command import Command, assert_refused

ROWS = [
    {"id": 1, "media_type": "movie", "title": "The Lighthouse Keeper", "overview": "A man alone with the sea.",
     "genre_ids": [18], "vote_average": 7.5, "release_date": "1999-03-30", "country": "FR"},
    {"id": 1, "media_type": "tv", "title": "[REC] 🎬 '; drop table content_vectors; --", "overview": "", "genre_ids": [],
     "vote_average": None, "release_date": None, "country": "ES"},
]  # fmt: skip


def _write(path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(ROWS[0])
            for row in ROWS:
                cells = {**row, "genre_ids": "|".join(map(str, row["genre_ids"]))}
                writer.writerow(["" if cell is None else cell for cell in cells.values()])
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "b.parquet", "c.csv"])
def test_the_same_rows_from_each_form_of_file(command: Command, name: str) -> None:
    _write(command.folder / name)
    done = command.inside("load", name)
    assert done.code == 0, done.err
    assert re.fullmatch(r"2 rows in .* s: 2 written, 0 unchanged, in the memory file data/memory\.snap\n", done.out)
    assert done.err == ""
    hits = command.inside("search", "alone at sea", "--where", '{"metadata": "country", "in": ["FR", "ES"]}').out
    assert re.search(r"1 +0\.\d+ +The Lighthouse Keeper +1999 +movie +movie-1", hits)
    assert "[REC] 🎬 '; drop table content_vectors; --" in hits


def test_a_changed_row_is_written_and_the_others_are_left_alone(command: Command) -> None:
    _write(command.folder / "a.jsonl")
    assert command.inside("load", "a.jsonl", "--json").json()["written"] == 2
    changed = [{**ROWS[0], "vote_average": 8.0}, ROWS[1]]
    command.folder.joinpath("a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    done = command.inside("load", "a.jsonl", "--json").json()
    assert (done["written"], done["unchanged"]) == (1, 1)


@pytest.fixture(params=["memory", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Command]:
    """The command with an empty collection in either backend."""
    if request.param == "memory":
        yield Command(folder=tmp_path, variables={})
        return
    server: Command = request.getfixturevalue("embedded")
    address = server.inside("db", "url").out.strip()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
        url = address.replace("/media_vectors", "/empty")
        yield Command(folder=tmp_path, variables={"RUVECTOR_BACKEND": "postgres", "DATABASE_URL": url})
        connection.execute("DROP DATABASE empty WITH (FORCE)")


def test_ready_vectors_make_a_collection_of_their_own_model(empty: Command) -> None:
    vectors = np.random.default_rng(1).standard_normal((300, 768)).astype(np.float32)
    columns = {
        "id": np.arange(1, 301),
        "media_type": ["movie"] * 300,
        "title": [f"Film {number}" for number in range(1, 301)],
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 768),
    }
    pq.write_table(pa.table(columns), empty.folder / "v.parquet")
    assert empty.inside("load", "v.parquet", "--model", "big-768", "--json").json()["written"] == 300
    again = empty.inside("load", "v.parquet", "--model", "big-768", "--json").json()
    assert (again["written"], again["unchanged"]) == (0, 300)
    stats = empty.inside("stats", "--json").json()
    assert (stats["count"], stats["dimension"], stats["model"]) == (300, 768, "big-768")
    cosines = vectors @ vectors[0] / np.linalg.norm(vectors, axis=1)
    wanted = [f"movie-{number + 1}" for number in np.argsort(-cosines)[1:4]]
    hits = empty.inside("similar", "movie-1", "-k", "3", "--exact", "--json").json()
    assert [hit["key"] for hit in hits] == wanted
    assert_refused(empty.inside("search", "sea"), "big-768", "all-MiniLM")


def _long_file(folder: Path) -> None:
    # Numbers that no film of the catalogue has: what this file overwrites would be deleted with it.
    rows = [{**ROWS[0], "id": 900_000_000 + number, "title": f"Film {number}"} for number in range(1, 4001)]
    folder.joinpath("long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _done_rows(err: str) -> int:
    found = re.search(r"^([\d,]+) rows were done before that and are kept", err, re.MULTILINE)
    assert found is not None, err
    return int(found[1].replace(",", ""))


def test_an_interrupt_keeps_what_was_acknowledged_in_memory(command: Command) -> None:
    _long_file(command.folder)

    def is_time() -> bool:
        return sum(path.stat().st_size for path in command.folder.glob("data/*")) > 200_000

    done = command.stopped(signal.SIGINT, is_time, "load", "long.jsonl")
    assert (done.code, done.out) == (130, ""), done.err
    assert "stopped by SIGINT" in done.err
    assert "Traceback" not in done.err
    kept = _done_rows(done.err)
    assert 0 < kept < 4000
    # The batch that was being written when the signal came may be there too, though nobody was told.
    assert command.inside("stats", "--json").json()["count"] - kept in {0, 64}


def test_termination_keeps_what_was_acknowledged_in_postgres(embedded: Command) -> None:
    _long_file(embedded.folder)
    address = embedded.inside("db", "url").out.strip()
    with psycopg.connect(address, autocommit=True) as connection:

        def count() -> int:
            row = connection.execute(
                "SELECT count(*) FROM content_vectors WHERE metadata->>'title' ~ '^Film '"
            ).fetchone()
            return 0 if row is None else row[0]

        try:
            done = embedded.stopped(signal.SIGTERM, lambda: count() > 100, "load", "long.jsonl")
            assert (done.code, done.out) == (143, ""), done.err
            assert count() == _done_rows(done.err)
        finally:
            connection.execute("DELETE FROM content_vectors WHERE metadata->>'title' ~ '^Film '")
