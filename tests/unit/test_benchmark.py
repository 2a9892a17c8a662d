"""The parts of the benchmark that need no server: data, truth, widths, results and the report."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_gateway.benchmarking.claims import claims, goals
from media_gateway.benchmarking.corpus import embed_corpus
from media_gateway.benchmarking.datasets import key_of, made_up, numbers_of
from media_gateway.benchmarking.generator import BLOCK, Generator
from media_gateway.benchmarking.hdf5 import read_hdf5
from media_gateway.benchmarking.measure import Plan, curve_of, latencies, smallest_width
from media_gateway.benchmarking.report import BEGIN, END, write_report
from media_gateway.benchmarking.results import Point, Result, ResultFile
from media_gateway.benchmarking.systems.base import Answers, AskedHere, Loaded
from media_gateway.benchmarking.systems.registry import NAMES, checked_index, checked_names
from media_gateway.benchmarking.truth import exact_truth
from media_gateway.errors import FileFormatError, InvalidInputError, InvalidRequestError
from media_gateway.models import Matrix, Vector

pytestmark = pytest.mark.anyio


def test_rows_are_the_same_however_many_are_asked_for():
    generator = Generator(dimension=8, seed=3)
    few = np.concatenate(list(generator.blocks(BLOCK + 7)))
    more = np.concatenate(list(generator.blocks(2 * BLOCK)))
    assert np.array_equal(few, more[: BLOCK + 7])
    assert np.allclose(np.linalg.norm(more, axis=1), 1, atol=1e-6)
    other = next(Generator(dimension=8, seed=4).blocks(5))
    assert not np.allclose(other, few[:5])


def test_queries_are_of_the_clusters_but_no_rows():
    generator = Generator(dimension=64)
    rows = np.concatenate(list(generator.blocks(2 * BLOCK)))
    queries = generator.queries(200, len(rows))
    best = np.sort(queries @ rows.T, axis=1)[:, ::-1]
    strangers = np.median(np.abs(queries @ queries.T))
    assert len(queries) == 200
    assert best[:, 0].max() < 0.99999
    assert np.median(best[:, 9]) > 0.6
    assert strangers < 0.3


def test_more_noise_moves_neighbours_apart():
    near, far = (made_up(count=1000, dimension=32, queries=50, noise=noise, most_bytes=2**30) for noise in (0.3, 1.0))
    assert near.truth.scores[:, 0].mean() > far.truth.scores[:, 0].mean() + 0.1


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_truth_over_blocks_is_that_of_all_rows_at_once(block: int):
    data = made_up(count=500, dimension=16, queries=20, most_bytes=2**30)
    rows = np.concatenate(list(data.blocks()))
    truth = exact_truth((rows[begin : begin + block] for begin in range(0, len(rows), block)), data.queries)
    expected = np.argsort(-(data.queries @ rows.T), axis=1)[:, :10]
    assert np.array_equal(truth.rows[:, :10], expected)


def test_recall_counts_what_is_found_and_takes_equal_scores_for_one_another():
    rows = np.eye(20, dtype=np.float32)
    rows[12] = rows[9] = (rows[0] + rows[9]) / np.sqrt(2)
    query = np.zeros((1, 20), dtype=np.float32)
    query[0, :9], query[0, 9] = np.arange(20, 11, -1), 0.5
    query /= np.linalg.norm(query)
    truth = exact_truth([rows], query)
    best = truth.rows[0, :10].tolist()
    assert truth.recall([best], [0]) == 1
    assert truth.recall([best[:4]], [0]) == 0.4
    assert truth.recall([[*best[:5], 15, 16, 17, 18, 19]], [0]) == 0.5
    assert truth.recall([[best[0]] * 10], [0]) == pytest.approx(0.1)
    assert {9, 12} <= set(best)
    # Of fifteen rows that score alike any ten will do.
    alike = exact_truth([np.ones((15, 1), dtype=np.float32)], np.ones((1, 1), dtype=np.float32))
    assert alike.recall([list(range(5, 15))], [0]) == 1


def test_streamed_rows_are_those_that_are_kept():
    kept, streamed = (made_up(count=BLOCK + 5, dimension=8, queries=10, most_bytes=most) for most in (2**30, 0))
    assert (kept.is_streamed, streamed.is_streamed) == (False, True)
    assert kept.fingerprint == streamed.fingerprint
    assert np.array_equal(np.concatenate(list(kept.blocks())), np.concatenate(list(streamed.blocks())))
    records = [record for batch in streamed.records() for record in batch]
    assert [record.key for record in records[:2]] == ["movie-0", "movie-1"]
    assert numbers_of([key_of(17)]) == [17]
    assert made_up(count=BLOCK, dimension=8, queries=10, most_bytes=0).fingerprint != kept.fingerprint


class _Fake(AskedHere):
    """A system that finds as much as its width says, and answers the first *answered* of each part alone."""

    name = "fake"

    def __init__(self, truth: Any, answered: int = 10**9) -> None:
        self.width = 0
        self._truth = truth
        self._answered = answered
        self._asked = 0

    async def load(self, data: Any) -> Loaded:
        raise NotImplementedError

    async def widen(self, width: int) -> None:
        self.width = width

    async def search(self, query: Vector) -> Any:
        raise NotImplementedError

    def numbers(self, answer: Any) -> list[int]:
        raise NotImplementedError

    async def answers(self, queries: Matrix) -> Answers:
        chosen = [int(np.flatnonzero((self.queries == query).all(axis=1))[0]) for query in queries[: self._answered]]
        count = min(10, self.width // 10)
        found = [self._truth.rows[number, :count].tolist() for number in chosen]
        return Answers(times=[1.0] * len(found), found=found)

    async def aclose(self) -> None:
        pass

    queries: Matrix


async def test_the_smallest_width_that_reaches_the_target_is_found():
    data = made_up(count=200, dimension=8, queries=20, most_bytes=2**30)
    system = _Fake(data.truth)
    system.queries = data.queries
    curve = await curve_of(system, data.queries, data.truth)
    assert [point.recall for point in curve][:2] == pytest.approx([0.1, 0.1])
    assert curve[-1].recall == 1
    assert curve[-1].width == 100

    async def recall_at(width: int) -> float:
        return min(10, width // 10) / 10

    assert await smallest_width(curve, 0.75, recall_at) == 80
    assert await smallest_width(curve, 0.9, recall_at) == 90
    assert await smallest_width(curve[:2], 0.9, recall_at) is None


async def test_a_system_that_answers_only_a_part_is_held_against_that_part():
    data = made_up(count=200, dimension=8, queries=20, most_bytes=2**30)
    system = _Fake(data.truth, answered=3)
    system.queries, system.width = data.queries, 100

    async def attempt(_: AskedHere, work: Any) -> None:
        await work()

    timed = (await latencies([system], data.queries, Plan(rounds=2), attempt))["fake"]
    assert timed.asked == [0, 1, 2, 10, 11, 12]
    assert data.truth.recall(timed.found, timed.asked) == 1


@pytest.mark.full
def test_hdf5_files_are_read_and_refused(tmp_path: Path):
    h5py: Any = import_module("h5py")
    random = np.random.default_rng(0)
    train, test = random.standard_normal((300, 12)), random.standard_normal((20, 12))
    path = tmp_path / "some-angular.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs["distance"] = "angular"
        file["train"], file["test"] = train, test
        units = train / np.linalg.norm(train, axis=1, keepdims=True)
        scores = test / np.linalg.norm(test, axis=1, keepdims=True) @ units.T
        file["neighbors"] = np.argsort(-scores, axis=1)[:, :100]
        file["distances"] = 1 - np.sort(scores, axis=1)[:, ::-1][:, :100]
    data = read_hdf5(path, queries=15)
    assert (data.n, data.dimension, len(data.queries), data.name) == (300, 12, 15, "some-angular")
    computed = exact_truth(data.blocks(), data.queries)
    assert data.known is not None
    assert np.array_equal(data.truth.rows[:, :10], computed.rows[:, :10])
    assert data.truth.recall(computed.rows[:, :10].tolist(), range(15)) == 1
    assert read_hdf5(path, queries=15, size=100).known is None
    with h5py.File(path, "a") as file:
        file.attrs["distance"] = "euclidean"
    with pytest.raises(FileFormatError, match="it measures euclidean distance; expected an angular one"):
        read_hdf5(path, queries=15)
    with h5py.File(path, "a") as file:
        del file["test"]
    with pytest.raises(FileFormatError, match="no data set 'test'"):
        read_hdf5(path, queries=15)
    (tmp_path / "no.hdf5").write_text("words")
    with pytest.raises(FileFormatError, match="cannot be read as HDF5"):
        read_hdf5(tmp_path / "no.hdf5", queries=15)


async def test_a_corpus_is_embedded_and_every_tenth_text_asked_for(tmp_path: Path):
    lines = [f"A story about {thing} and its keeper." for thing in "abcdefghijklmnopqrstuvwxyz"]
    path = tmp_path / "stories.txt"
    path.write_text("\n".join([*lines, lines[0], ""]))
    data = await embed_corpus(str(path), queries=100)
    assert (data.n, data.dimension, len(data.queries)) == (24, 384, 2)
    assert data.metadata(0)["title"] in lines
    jsonl = tmp_path / "stories.jsonl"
    jsonl.write_text('{"title": "x"}\n{"year": 3}')
    with pytest.raises(FileFormatError, match="line 2 has no text"):
        await embed_corpus(str(jsonl), queries=10)
    jsonl.write_text('{"title": "x"}')
    with pytest.raises(FileFormatError, match="1 different texts; expected at least 20"):
        await embed_corpus(str(jsonl), queries=10)


def _result(system: str = "postgres", n: int = 100_000, p50: float = 0.5, **changes: Any) -> Result:
    result = Result(
        system=system,
        n=n,
        dimension=768,
        k=10,
        recall=0.96,
        p50_ms=p50,
        p95_ms=2 * p50,
        p99_ms=3 * p50,
        qps=1000 / p50,
        qps_4=1500 / p50,
        qps_16=1500 / p50,
        load_rows_per_s=10_000.0,
        build_s=30.0,
        disk_bytes=10**9,
        memory_bytes=None,
        index="hnsw",
        width=24,
        queries=1000,
        recall_target=0.95,
        curve=[Point(width=10, recall=0.9, p50_ms=p50 / 2), Point(width=24, recall=0.96, p50_ms=p50)],
        data={"name": "generated", "fingerprint": f"of {n}", "seed": 0, "noise": 0.5},
    )
    return replace(result, **changes)


def test_results_are_merged_by_system_and_data(tmp_path: Path):
    path = tmp_path / "new" / "results.json"
    ResultFile(path).add(_result())
    ResultFile(path).add(_result("memory"))
    file = ResultFile(path)
    file.add(_result(p50=0.25))
    file.add(_result(n=1_000_000))
    again = ResultFile(path).results
    assert [(one.system, one.n, one.p50_ms) for one in again] == [
        ("memory", 100_000, 0.5),
        ("postgres", 100_000, 0.25),
        ("postgres", 1_000_000, 0.5),
    ]
    assert again[1] == replace(_result(p50=0.25), notes=[])
    path.write_text('[{"system": "postgres"}]')
    with pytest.raises(FileFormatError, match=r"results\.json holds no results of media-gateway bench"):
        ResultFile(path)


def _verdicts(results: Sequence[Result]) -> dict[str, tuple[str, str]]:
    return {row.what: (row.found, row.verdict) for row in (*claims(results), *goals(results))}


def test_claims_and_goals_are_measured_projected_or_open():
    results = [
        _result(),
        # A graph built otherwise says nothing about how time grows.
        _result(n=1_000_000, p50=0.9, index="hnsw halfvec m 16, ef_construction 200"),
        _result("psycopg", p50=0.4),
        _result("ruvector-npm", p50=50.0, recall=1.0),
        _result("langchain", p50=1.0, load_rows_per_s=500.0),
        _result(n=1_000_000, p50=1.0),
        # Neither other dimensions nor other rows say anything about the claims.
        _result(p50=0.01, dimension=64),
        _result(p50=0.01, data={"name": "some-angular", "fingerprint": "x"}),
    ]
    found = _verdicts(results)
    assert found["a search of 100,000 vectors"] == ("measured: p50 0.50 ms, p95 1.00 ms, recall 0.960", "met")
    assert found["than the npm package ruvector, 100,000 vectors"][1] == "missed"
    projection = found["vectors in one collection"][0]
    assert projection.startswith("projected: p50 2.0 ms with the index in memory, from 100,000 and 1,000,000 rows")
    assert projection.endswith("; largest measured here: 1,000,000")
    assert found["postgres over bare psycopg, 100,000 rows: p50"] == ("1.25", "missed")
    assert found["postgres beside langchain, 100,000 rows: p50"] == ("2.0 times", "missed")
    assert found["postgres beside langchain, 100,000 rows: loading"] == ("20.0 times", "met")
    assert found["postgres beside vecs, 100,000 rows: p50"] == ("not measured", "-")
    assert found["bulk load over a bare COPY, 100,000 rows"] == ("1.00", "met")


@pytest.mark.full
def test_the_report_stands_between_its_markers(tmp_path: Path):
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_report(page, [_result(), _result("numpy", p50=13.0, curve=[], width=None)])
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| numpy | hnsw | - | 0.960 | 13.00 |" in text
    (plot,) = (tmp_path / "benchmarks").iterdir()
    assert f"](benchmarks/{plot.name})" in text
    assert "<svg" in plot.read_text()
    drawn = plot.read_bytes()
    write_report(page, [_result(), _result("numpy", p50=13.0, curve=[], width=None)])
    assert (page.read_text(), plot.read_bytes()) == (text, drawn)
    page.write_text("nothing")
    with pytest.raises(FileFormatError, match="has no place for results"):
        write_report(page, [_result()])
    with pytest.raises(InvalidInputError, match="there are no results to report"):
        write_report(page, [])


def test_systems_and_indexes_are_checked():
    assert checked_names(None) == list(NAMES)
    assert checked_names("postgres, numpy") == ["postgres", "numpy"]
    with pytest.raises(InvalidRequestError, match="--systems names 'mysql'; expected some of postgres"):
        checked_names("postgres,mysql")
    with pytest.raises(InvalidRequestError, match="--systems names nothing"):
        checked_names(",")
    with pytest.raises(InvalidRequestError, match="--index is 'flat'; expected 'vector' or 'halfvec'"):
        checked_index("flat")
    with pytest.raises(InvalidRequestError, match="ef_construction is 20; expected 24"):
        checked_index("vector", m=12, ef_construction=20)
