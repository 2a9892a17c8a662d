"""`learn evaluate` on a folder of made-up ratings: all its files, and that others can recompute what it says."""

import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.acceptance.command import Command, assert_refused

FILMS = 60
METHODS = {"popularity", "recent popularity", "text", "text + popularity", "ItemKNN", "EASE", "iALS", "ours"}


def _folder(path: Path) -> Path:
    """Write a folder in RecBole's form: films of two genres, users with a taste, one after another."""
    path.mkdir()
    films = ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
    for film in range(1, FILMS + 1):
        genre = "Comedy" if film <= FILMS // 2 else "Horror"
        films.append(f"{film}\tThe {genre} of {film}\t{1980 + film % 20}\t{genre}")
    (path / "small.item").write_text("\n".join(films) + "\n")
    chance = np.random.default_rng(0)
    ratings = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user in range(1, 81):
        first = 1 + 30 * (user % 2)
        for place, film in enumerate(chance.permutation(30)[:28]):
            time = 8.8e8 + 3000 * (user + (20 if user % 4 == 0 and place > 14 else 0)) + 10 * place
            ratings.append(f"{user}\t{first + film}\t{5 if chance.random() < 0.87 else 2}\t{time:.0f}")
    (path / "small.inter").write_text("\n".join(ratings) + "\n")
    return path


def test_it_refuses_what_it_cannot_read_or_write_before_it_begins(command: Command) -> None:
    assert_refused(command.inside("learn", "evaluate", "--dataset", "nowhere"), "nowhere cannot be read")
    _folder(command.folder / "small")
    done = command.inside("learn", "evaluate", "--dataset", "small", "--json", "away/results.json")
    assert_refused(done, "there is no folder away; name one that exists")
    done = command.inside("learn", "evaluate", "--dataset", "small", "--through", "thought")
    assert_refused(done, "--through is 'thought'; expected 'memory' or 'postgres'")
    done = command.inside("learn", "evaluate", "--dataset", "small", "--methods", "text,magic")
    assert_refused(done, "--methods names 'magic'; expected some of popularity, recent popularity, text")
    assert_refused(command.inside("learn", "evaluate"), "--dataset is not given; name a MovieLens folder")
    done = command.inside("learn", "evaluate", "--only-report", "--report", "page.md")
    assert_refused(done, "--only-report is given without --json or --report")
    done = command.inside("learn", "evaluate", "--only-report", "--report", "page.md", "--json", "small/small.item")
    assert_refused(done, "small.item holds no results of media-gateway learn evaluate")


def test_a_report_needs_what_draws_before_anything_is_measured(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    _folder(command.folder / "small")
    unnamed = command.inside("learn", "evaluate", "--dataset", "small", "--report", "page")
    assert_refused(unnamed, "--report is page, a name without an ending; expected one such as page.md")
    done = command.inside("learn", "evaluate", "--dataset", "small", "--report", "page.md")
    assert_refused(done, "plots need the package matplotlib; install media-gateway[bench]")
    assert not (command.folder / "page.md").exists()


@pytest.mark.full
def test_what_it_reports_can_be_recomputed_from_its_lists(command: Command) -> None:
    _folder(command.folder / "small")
    done = command(
        *("learn", "evaluate", "--dataset", "small", "--json", "results.json"),
        *("--recommendations", "lists.parquet", "--report", "report.md"),
    )
    assert done.code == 0, done.err
    results = json.loads((command.folder / "results.json").read_text())
    lists = pq.read_table(command.folder / "lists.parquet").to_pylist()
    assert {row["method"] for row in lists} == METHODS
    assert set(results["ndcg_at_10"]) == {row["protocol"] for row in lists} >= {"C5", "C20"}
    for method in METHODS:
        found = _ndcg_after_five_likes(command.folder / "small", [row for row in lists if row["method"] == method])
        assert found == pytest.approx(results["ndcg_at_10"]["C5"]["methods"][method]["value"], abs=1e-4)
    ours, text = (results["ndcg_at_10"]["C5"]["methods"][name]["value"] for name in ("ours", "popularity"))
    assert ours > text
    page = (command.folder / "report.md").read_text()
    assert "## Goals" in page
    assert "](report/methods.svg)" in page
    again = command.inside("learn", "evaluate", "--only-report", "--json", "results.json", "--report", "again.md")
    assert again.code == 0, again.err
    assert (command.folder / "again.md").read_text() == page.replace("(report/", "(again/")
    assert (command.folder / "again" / "methods.svg").read_bytes() == (
        command.folder / "report" / "methods.svg"
    ).read_bytes()


def _ndcg_after_five_likes(folder: Path, lists: list[dict]) -> float:
    """Return C5 from the lists and the ratings alone; no two ratings of a user are of one time here."""
    rows = [line.split("\t") for line in (folder / "small.inter").read_text().splitlines()[1:]]
    rows = sorted((float(time), user, f"ml-{film}", float(stars)) for user, film, stars, time in rows)
    start = rows[int(0.7 * len(rows))][0]
    ranked: dict[str, dict[int, str]] = defaultdict(dict)
    for row in lists:
        if row["protocol"] == "C5":
            ranked[row["user"]][row["rank"]] = row["key"]
    values = []
    for user, keys in ranked.items():
        mine = [(key, stars) for time, one, key, stars in rows if one == user]
        assert min(time for time, one, _, _ in rows if one == user) >= start
        liked = [key for key, stars in mine if stars >= 4][5:]
        gain = sum(1 / math.log2(rank + 1) for rank, key in keys.items() if key in liked)
        values.append(gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(10, len(liked)) + 1)))
    return float(np.mean(values))
