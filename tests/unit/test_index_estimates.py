"""What indexes take, what fits, and when to build anew: pure reckoning."""

import pytest

from media_gateway.database.engine import PGVECTOR, RUVECTOR
from media_gateway.database.index_definitions import IndexDefinition
from media_gateway.errors import InvalidRequestError, UnsupportedError
from media_gateway.stores.postgres.capacity import MEASURED, CapacityPoint, capacity, fit
from media_gateway.stores.postgres.indexes import (
    MEASURED_RATE,
    estimate_index,
    graph_bytes,
    index_bytes,
    rebuild_advice,
    scaled_seconds,
)

MIB = 2**20


@pytest.mark.parametrize(
    ("rows", "dimension", "form", "m", "mebibytes"),
    [
        (100_000, 768, "vector", 16, 391),
        (100_000, 768, "halfvec", 16, 195),
        (1_000_000, 768, "halfvec", 16, 1953),
        # What a test server made of 6,000 rows.
        (6_000, 256, "vector", 16, 7.83),
        (6_000, 256, "halfvec", 16, 4.76),
    ],
)
def test_sizes_are_those_that_were_measured(rows: int, dimension: int, form: str, m: int, mebibytes: float) -> None:
    assert index_bytes(rows, dimension, form, m) / MIB == pytest.approx(mebibytes, rel=0.015)  # pyright: ignore[reportArgumentType]


def test_a_node_and_its_links_that_fill_more_than_a_page_take_two() -> None:
    assert index_bytes(1_000, 2_000, "vector", 16) == pytest.approx(1_000 * 2 * 8192, rel=0.01)


@pytest.mark.parametrize(
    ("dimension", "form", "m", "rows_in_6_mb"),
    [(256, "vector", 16, 3619), (256, "halfvec", 16, 5132), (256, "vector", 8, 4234), (256, "halfvec", 32, 3618)],
)
def test_memory_is_what_pgvector_filled(dimension: int, form: str, m: int, rows_in_6_mb: int) -> None:
    taken = graph_bytes(rows_in_6_mb, dimension, form, m) - 4 * MIB  # pyright: ignore[reportArgumentType]
    assert taken == pytest.approx(6 * MIB, rel=0.01)


def test_time_is_scaled_from_a_measured_build() -> None:
    same = estimate_index(100_000, 768, IndexDefinition(), rate=MEASURED_RATE)
    assert same.seconds == pytest.approx(77)
    assert estimate_index(100_000, 768, IndexDefinition()).seconds is None
    ten_times = scaled_seconds(MEASURED_RATE, 1_000_000, 768, IndexDefinition(kind="halfvec"))
    assert 0.7 * 650 < ten_times < 1.5 * 650


@pytest.mark.parametrize(
    ("given", "said"),
    [({"m": 1}, "m is 1; expected 2 to 100"), ({"m": 40}, "ef_construction is 64; expected 80"),
     ({"ef_construction": 2_000}, "expected 32 to 1,000")],
)  # fmt: skip
def test_what_pgvector_would_refuse_is_refused_before(given: dict[str, int], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        IndexDefinition(**given)


def test_kinds_have_their_limits() -> None:
    with pytest.raises(InvalidRequestError, match=r"2,001 numbers.*at most 2,000; build the halfvec index"):
        IndexDefinition().statement(PGVECTOR, 2_001)
    assert "halfvec(4000)" in IndexDefinition(kind="halfvec").statement(PGVECTOR, 4_000)
    with pytest.raises(InvalidRequestError, match="at most 4,000"):
        IndexDefinition(kind="halfvec").statement(PGVECTOR, 4_001)
    with pytest.raises(UnsupportedError, match="no halfvec index"):
        IndexDefinition(kind="halfvec").statement(RUVECTOR, 8)


def test_ten_million_fit_24_gib_only_with_a_smaller_index() -> None:
    found = capacity(10_000_000, 768, memory=24 * 2**30, model=fit(MEASURED))
    fits = {variant.name: variant.fits for variant in found.variants}
    assert fits["vector"] is False
    assert fits["halfvec"] is False
    assert fits["bits"] is True
    assert {variant.basis for variant in found.variants} == {"projected"}
    near = capacity(1_000_000, 768, model=fit(MEASURED)).variants
    assert {variant.is_offered: variant.basis for variant in near} == {True: "measured", False: "projected"}
    assert {one.basis for one in capacity(1_000_000, 1_536, model=fit(MEASURED)).variants} == {"projected"}


def test_a_fit_goes_through_its_points() -> None:
    points = [CapacityPoint(rows=n, dimension=8, p50_ms=n**0.5 / 100, build_seconds=n / 1000) for n in (10_000, 90_000)]
    (first, *_) = capacity(360_000, 8, model=fit(points)).variants
    assert first.p50_ms == pytest.approx(6.0)
    assert first.basis == "projected"
    with pytest.raises(ValueError, match="measure at least one"):
        fit([CapacityPoint(rows=10, dimension=8)])


def test_vectors_too_long_for_a_vector_index_are_reckoned_without_one() -> None:
    names = [variant.name for variant in capacity(1_000, 3_072, model=fit(MEASURED)).variants]
    assert names[0] == "halfvec"


USUAL = {"rows": 1000, "dead": 0, "updates_since_build": 0, "recall_then": 0.97, "recall_now": 0.97, "target": 0.95}


@pytest.mark.parametrize(
    ("changed", "is_advised", "said"),
    [
        ({}, False, "recall is 0.970"),
        ({"updates_since_build": 5000}, False, "recall is 0.970"),
        ({"recall_now": 0.92}, True, "recall fell from 0.970 to 0.920"),
        ({"recall_now": 0.92, "recall_then": None}, True, "recall fell to 0.920"),
        ({"recall_then": 0.93, "recall_now": 0.925}, False, "tune the search width"),
        ({"dead": 400}, True, "29% of the table's rows are dead"),
        ({"recall_now": None, "updates_since_build": 600}, True, "600 rows were changed"),
        ({"recall_now": None, "updates_since_build": 400}, False, "little was changed"),
        ({"recall_now": None, "updates_since_build": None}, False, "nothing tells against"),
        ({"rows": 0, "recall_now": None}, False, "nothing tells against"),
    ],
)
def test_a_rebuild_is_advised_when_it_helps(changed: dict[str, float | None], is_advised: bool, said: str) -> None:
    advice = rebuild_advice(**{**USUAL, **changed})  # pyright: ignore[reportArgumentType]
    assert (advice.is_advised, said in advice.reason) == (is_advised, True), advice
