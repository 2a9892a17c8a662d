"""`index`: what is reckoned without a server, and an index's life on one."""

import pytest

from tests.acceptance.command import Command, assert_refused


def test_a_capacity_is_reckoned_without_a_server(command: Command) -> None:
    done = command.inside("index", "estimate", "--rows", "10000000", "--dimension", "768", "--memory", "24GB", "--json")
    found = done.json()
    assert found["heap_bytes"] == pytest.approx(41e9, rel=0.01)
    halved = next(variant for variant in found["variants"] if variant["name"] == "halfvec")
    assert halved["index_bytes"] == pytest.approx(20.5e9, rel=0.01)
    assert (halved["fits"], halved["basis"]) == (False, "projected")
    table = command.inside("index", "estimate", "--rows", "1000000", "--dimension", "768", "--memory", "8GB")
    assert "measured" in table.out
    assert not (command.folder / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["estimate", "--rows", "10"], "--rows needs --dimension"),
        (["estimate", "--memory", "2GB"], "go with --rows"),
        (["build", "--kind", "ivf"], "--kind is 'ivf'; expected 'vector' or 'halfvec'"),
        (["build", "--m", "1"], "m is 1; expected 2 to 100"),
        (["build", "--maintenance-memory", "much"], "a size is 'much'; expected a number with KB, MB, GB or TB"),
        (["field", "draw", "--type", "date"], "--type is 'date'; expected 'number' or 'text'"),
        (["field", "d" * 201, "--type", "text"], "expected text of at most 200 bytes"),
        (["field", "draw", "--type", "number"], "the memory store sees to its index itself; give --backend postgres"),
        (["status"], "the memory store sees to its index itself; give --backend postgres"),
        (["warm"], "the memory store sees to its index itself"),
    ],
)
def test_what_cannot_be_is_refused(command: Command, arguments: list[str], said: str) -> None:
    assert_refused(command.inside("index", *arguments), said)


def test_the_life_of_an_index(embedded: Command) -> None:
    estimate = embedded.inside("index", "estimate", "--kind", "halfvec", "--json").json()
    assert (estimate["rows"], estimate["fits_memory"]) == (614, True)
    built = embedded.inside("index", "build", "--kind", "halfvec")
    assert built.code == 0, built.err
    assert built.out.startswith("built content_vectors_halfvec_idx in ")
    assert "content_vectors_halfvec_idx over 614 rows of 384 numbers takes" in built.err
    status = embedded.inside("index", "status", "--json").json()
    assert [(index["name"], index["valid"], index["rebuild_advised"]) for index in status["indexes"]] == [
        ("content_vectors_halfvec_idx", True, False),
        ("content_vectors_hnsw_idx", True, False),
    ]
    assert status["building"] is None
    assert_refused(embedded.inside("index", "build", "--kind", "halfvec"), "is there already")
    rebuilt = embedded.inside("index", "rebuild", "--kind", "halfvec", "--json").json()
    assert rebuilt["valid"]
    warmed = embedded.inside("index", "warm", "--json").json()
    assert warmed["how"] == "pg_prewarm"
    assert warmed["bytes"] > rebuilt["bytes"]
    dropped = embedded.inside("index", "drop", "--kind", "halfvec", "--json").json()
    assert dropped["dropped"] == "content_vectors_halfvec_idx"
    assert "content_vectors_hnsw_idx" in embedded.inside("index", "status").out
    assert_refused(embedded.inside("index", "drop", "--kind", "halfvec"), "there is no content_vectors_halfvec_idx")


def test_the_life_of_an_index_on_a_field(embedded: Command) -> None:
    built = embedded.inside("index", "field", "runtime", "--type", "number", "--json").json()
    assert (built["field"], built["type"], built["valid"], built["dropped"]) == ("runtime", "number", True, [])
    again = embedded.inside("index", "field", "runtime", "--type", "number")
    assert "is there already" in again.out, again.err
    status = embedded.inside("index", "status", "--json").json()
    assert [(index["field"], index["name"]) for index in status["fields"]] == [("runtime", built["name"])]
    assert built["name"] in embedded.inside("index", "status").out
    dropped = embedded.inside("index", "field", "runtime", "--type", "number", "--drop")
    assert dropped.out.startswith(f"dropped {built['name']}, "), dropped.err
    assert_refused(
        embedded.inside("index", "field", "runtime", "--type", "number", "--drop"),
        "the field 'runtime' has no index of type number",
    )
