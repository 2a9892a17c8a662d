"""`tune`, `search --explain` and the tuning at the end of a load, by the installed command."""

import json

import numpy as np
import pytest

from tests.acceptance.command import Command
from tests.samples import records

ROWS = 5_000


@pytest.mark.full
def test_a_large_load_is_tuned_and_searches_explain_themselves(command: Command) -> None:
    items = records(ROWS, dimension=16)
    np.savez(
        command.folder / "films.npz",
        key=np.array([item.key for item in items]),
        vector=np.stack([item.vector for item in items]),
        metadata=np.array([json.dumps(item.metadata) for item in items]),
    )
    postgres = Command(folder=command.folder, variables={"RUVECTOR_BACKEND": "postgres"})
    try:
        loaded = postgres("load", "films.npz", "--model", "mine", "--json").json()
        assert (loaded["written"], loaded["ef_search"] is None) == (ROWS, False)
        again = postgres("load", "films.npz", "--model", "mine", "--json").json()
        assert (again["unchanged"], again["ef_search"]) == (ROWS, None)
        report = postgres("tune", "--sample", "20", "--target", "0.9", "--dry-run", "--json").json()
        assert (report["rows"], report["applied"], report["target"]) == (ROWS, False, 0.9)
        assert report["classes"][0]["share"] == 1
        told = postgres.inside("tune", "--sample", "20")
        assert told.code == 0, told.err
        assert "without a filter" in told.out
        assert "recorded; running processes follow within a minute" in told.out
        (first, second) = postgres.inside("tune", "--history", "--json").json()
        assert (first["trigger"], first["action"], first["table_rows"]) == ("asked", "tuned", ROWS)
        assert first["ef_after"] >= 10, "no search for ten is narrower"
        assert first["at"] > second["at"], "the tuning at the end of the load is in it too"
        assert "asked: somebody asked for it" in postgres.inside("tune", "--history").out
        query = json.dumps(items[7].vector.tolist())
        answer = postgres.inside("search", "--vector-json", query, "--explain", "--json").json()
        assert answer["hits"][0]["key"] == "movie-7"
        assert answer["explanation"]["index"] == "content_vectors_hnsw_idx"
        assert any("content_vectors_hnsw_idx" in line for line in answer["explanation"]["plan"])
        shown = postgres.inside("search", "--vector-json", query, "--min-rating", "9.9", "--explain")
        assert "everything that passes is compared" in shown.out
        assert "[...]" in shown.out
        refused = postgres.inside("tune", "--sample", "3")
        assert (refused.code, refused.err.count("\n")) == (1, 1)
        assert "expected 20 or more" in refused.err
    finally:
        postgres("db", "stop")


def test_the_memory_store_is_not_tuned_but_explains(memory: Command) -> None:
    refused = memory.inside("tune")
    assert refused.code == 1
    assert "tunes itself" in refused.err
    shown = memory.inside("search", "toys that come alive", "--explain")
    assert shown.code == 0, shown.err
    assert "the collection is so small that it has no index" in shown.out
