"""`media-gateway bench`: small runs of the real command."""

import json
import shutil
from pathlib import Path

import pytest

from tests.acceptance.command import Command

NEEDED = {
    "system", "n", "dimension", "k", "recall", "p50_ms", "p95_ms", "p99_ms", "qps", "load_rows_per_s", "build_s",
    "disk_bytes", "memory_bytes",
}  # fmt: skip


@pytest.mark.full
def test_both_stores_are_measured_beside_peers_and_a_later_run_is_added(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    small = ("--quick", "--size", "1200", "--dimension", "32", "--queries", "40", "--json", str(path))
    first = command("bench", *small, "--systems", "postgres,psycopg,memory")
    assert first.code == 0, first.err
    results = {one["system"]: one for one in json.loads(path.read_text())}
    assert set(results) == {"postgres", "psycopg", "memory"}
    for one in results.values():
        assert set(one) >= NEEDED
        assert (one["n"], one["dimension"], one["k"], one["queries"]) == (1200, 32, 10, 40)
        assert one["recall"] >= 0.95
        assert 0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"]
        assert min(one["qps"], one["qps_4"], one["qps_16"], one["load_rows_per_s"], one["disk_bytes"]) > 0
    assert results["postgres"]["width"] == results["psycopg"]["width"]
    assert results["postgres"]["recall"] == results["psycopg"]["recall"]
    assert results["postgres"]["versions"]["postgresql"]
    assert "postgres" in first.out
    second = command("bench", *small, "--systems", "numpy")
    assert second.code == 0, second.err
    other = ("--systems", "postgres", "--index", "halfvec", "--m", "12", "--ef-construction", "96")
    indexed = command("bench", *small[:-1], str(tmp_path / "other.json"), *other)
    assert indexed.code == 0, indexed.err
    (found,) = json.loads((tmp_path / "other.json").read_text())
    assert found["index"] == "hnsw halfvec m 12, ef_construction 96"
    assert found["command"].endswith("--index halfvec --m 12 --ef-construction 96 --systems postgres")
    together = {one["system"]: one for one in json.loads(path.read_text())}
    assert set(together) == {"postgres", "psycopg", "memory", "numpy"}
    assert together["numpy"]["recall"] == 1
    assert {one["data"]["fingerprint"] for one in together.values()} == {results["memory"]["data"]["fingerprint"]}
    # It works in a folder of its own, and leaves nothing else here.
    assert set(command.folder.iterdir()) == {path, tmp_path / "other.json"}


def test_what_cannot_be_measured_is_refused_in_a_sentence(command: Command, tmp_path: Path) -> None:
    unknown = command.inside("bench", "--systems", "mysql")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err.startswith("Error: --systems names 'mysql'; expected some of postgres, psycopg")
    nothing = command.inside("bench", "--only-report", "--report", str(tmp_path / "page.md"))
    assert (nothing.code, nothing.err.count("\n")) == (1, 1)
    assert "there are no results to report" in nothing.err
    nowhere = command.inside("bench", "--only-report")
    assert (nowhere.code, nowhere.err.count("\n")) == (1, 1)
    assert "--report FILE.md" in nowhere.err
    both = command.inside("bench", "--dataset", "a.hdf5", "--corpus", "b.txt")
    assert (both.code, both.err) == (1, "Error: --dataset and --corpus are given; expected one of them\n")


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_the_npm_package_is_measured_by_its_own_clock(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    small = ("--quick", "--size", "1200", "--dimension", "32", "--queries", "40", "--json", str(path))
    done = command("bench", *small, "--systems", "ruvector-npm", timeout=280)
    assert done.code == 0, done.err
    (one,) = json.loads(path.read_text())
    assert (one["system"], one["recall"]) == ("ruvector-npm", 1)
    assert one["versions"]["ruvector (npm)"] == "0.1.31"
    assert min(one["p50_ms"], one["qps_16"], one["load_rows_per_s"], one["disk_bytes"], one["memory_bytes"]) > 0
