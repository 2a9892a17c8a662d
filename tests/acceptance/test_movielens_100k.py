"""`learn evaluate` on MovieLens-100K itself: the published figures come out, and come out of its lists again."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.acceptance.command import Command
from tests.documents import ROOT

pytestmark = [pytest.mark.full, pytest.mark.timeout(700)]

PROTOCOLS = ("G", "C5", "C20", "C5 tail", "C20 tail")
TEXT_FREE = ("popularity", "recent popularity", "EASE")
"""The quickest that no text has a part in: together they take three quarters of a minute."""
PUBLISHED = (ROOT / "docs" / "learning.md").read_text()


@pytest.fixture(scope="module")
def evaluated(movielens_100k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what a run of the quick methods wrote."""
    folder = tmp_path_factory.mktemp("evaluated")
    done = Command(folder=folder, variables={})(
        *("learn", "evaluate", "--dataset", str(movielens_100k), "--methods", ",".join(TEXT_FREE)),
        *("--json", "results.json", "--recommendations", "lists.parquet", "--report", "tables.md"),
        timeout=600,
    )
    assert done.code == 0, done.err
    return folder


def numbers(page: str, section: str, name: str) -> list[float]:
    """Return the numbers of the row *name* in a table of *section*."""
    text = page.partition(f"## {section}\n")[2].partition("\n#")[0]
    (row,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", text, re.MULTILINE)
    return [float(number) for number in re.findall(r"\d*\.\d+", row)]


@pytest.mark.parametrize("method", TEXT_FREE)
def test_the_published_figures_come_out(evaluated: Path, method: str) -> None:
    found = numbers((evaluated / "tables.md").read_text(), "Methods", method)
    assert len(found) == 3 * len(PROTOCOLS)
    # A model that inverts a matrix may turn a rank on another processor, counting does not.
    last = 0.0005 if "popularity" in method else 0.002
    assert found == pytest.approx(numbers(PUBLISHED, "Methods", method), abs=last)


def test_the_published_figures_of_queries_come_out(evaluated: Path) -> None:
    # The other wordings name no filter, so their order comes of texts.
    found, wanted = (
        numbers(page, "Queries", "parsed filters + popularity")[:6]
        for page in ((evaluated / "tables.md").read_text(), PUBLISHED)
    )
    assert found == pytest.approx(wanted, abs=0.0005)


@dataclass(frozen=True)
class Asked:
    """Of a user at a time: what is to be found, and what may not come back."""

    relevant: set[str]
    left_out: set[str]


class Ratings:
    """The ratings in the order that docs/learning.md tells of, and what is asked by it: nothing here is the project's."""

    def __init__(self, folder: Path) -> None:
        lines = [line.split("\t") for line in (folder / "ml-100k.inter").read_text().splitlines()[1:]]
        rows = sorted(
            ((float(time), user, f"ml-{film}", float(stars) >= 4) for user, film, stars, time in lines),
            key=lambda row: row[0],
        )
        chance = np.random.default_rng(0).permutation(len(rows))
        self.rows = [
            rows[place] for place in sorted(range(len(rows)), key=lambda place: (rows[place][0], chance[place]))
        ]
        films = (folder / "ml-100k.item").read_text().splitlines()[1:]
        self.films = [f"ml-{line.partition(chr(9))[0]}" for line in films]
        self.mine: defaultdict[str, list[int]] = defaultdict(list)
        for place, (_, user, _, _) in enumerate(self.rows):
            self.mine[user].append(place)

    def cut(self, share: float) -> int:
        """Return the place of the first rating of the time that *share* of the ratings come to."""
        time = self.rows[int(share * len(self.rows))][0]
        return next(place for place, row in enumerate(self.rows) if row[0] == time)

    def asked(self) -> Iterator[tuple[tuple[str, str, float], Asked]]:
        ends = [self.cut(0.7), self.cut(0.8), self.cut(0.9), len(self.rows)]
        counts = Counter(row[2] for row in self.rows[: ends[0]] if row[3])
        popular = set(sorted(self.films, key=lambda film: -counts[film])[: len(self.films) // 10])
        for user, places in self.mine.items():
            for first, last in pairwise(ends):
                seen = {self.rows[place][2] for place in places if place < first}
                relevant = {self.rows[place][2] for place in places if first <= place < last and self.rows[place][3]}
                if seen and relevant:
                    yield ("G", user, self.rows[first][0]), Asked(relevant, seen)
            if places[0] >= ends[0]:
                yield from self._guest(user, places, popular)

    def _guest(self, user: str, places: list[int], popular: set[str]) -> Iterator[tuple[tuple[str, str, float], Asked]]:
        likes = [place for place in places if self.rows[place][3]]
        for count in (5, 20):
            if len(likes) > count:
                at = likes[count - 1]
                seen = {self.rows[place][2] for place in places if place <= at}
                relevant = {self.rows[place][2] for place in likes[count:]}
                yield (f"C{count}", user, self.rows[at][0]), Asked(relevant, seen)
                if relevant - popular:
                    yield (f"C{count} tail", user, self.rows[at][0]), Asked(relevant - popular, seen | popular)


def test_anybody_can_recompute_the_figures_from_the_lists(evaluated: Path, movielens_100k: Path) -> None:
    asked = dict(Ratings(movielens_100k).asked())
    lists: defaultdict[str, defaultdict[tuple[str, str, float], dict[int, str]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for row in pq.read_table(evaluated / "lists.parquet").to_pylist():
        lists[row["method"]][row["protocol"], row["user"], row["at"]][row["rank"]] = row["key"]
    results: dict[str, Any] = json.loads((evaluated / "results.json").read_text())["ndcg_at_10"]
    assert set(lists) == set(TEXT_FREE)
    for method, ranked in lists.items():
        assert ranked.keys() == asked.keys()
        found = defaultdict(list)
        for question, keys in ranked.items():
            assert sorted(keys) == list(range(1, 11))
            assert not asked[question].left_out & set(keys.values())
            relevant = asked[question].relevant
            gain = sum(1 / math.log2(rank + 1) for rank, key in keys.items() if key in relevant)
            best = sum(1 / math.log2(rank + 1) for rank in range(1, min(10, len(relevant)) + 1))
            found[question[0]].append(gain / best)
        for protocol in PROTOCOLS:
            expected = results[protocol]["methods"][method]["value"]
            assert np.mean(found[protocol]) == pytest.approx(expected, abs=1e-6)
