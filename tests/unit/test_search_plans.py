"""Which way a filtered search goes, and how wide, by what is known of the table."""

import time
from dataclasses import replace
from datetime import date

import pytest

from media_gateway.database.engine import PGVECTOR, RUVECTOR
from media_gateway.database.where import Where, where_clause
from media_gateway.filters import (
    Condition,
    GenresAll,
    GenresAny,
    MediaTypeIs,
    MetadataEquals,
    MetadataExists,
    MetadataIn,
    MetadataRange,
    RatingBetween,
    ReleasedBetween,
)
from media_gateway.stores.postgres.nearest import NearestStatements
from media_gateway.stores.postgres.planner import Planner
from media_gateway.stores.postgres.selectivity import has_index
from media_gateway.stores.postgres.situation import Situation, VectorIndex
from media_gateway.stores.postgres.statistics import ColumnStatistics, TableStatistics
from media_gateway.stores.postgres.tuning.knobs import UNTUNED, SearchKnobs

ROWS = 100_000
PLAIN = VectorIndex(name="content_vectors_hnsw_idx", is_halved=False)
HALVED = VectorIndex(name="content_vectors_halfvec_idx", is_halved=True)
STATISTICS = TableStatistics(
    rows=ROWS,
    columns={
        "media_type": ColumnStatistics(common={"movie": 0.999, "tv": 0.001}),
        "vote_average": ColumnStatistics(histogram=[float(number) for number in range(11)]),
    },
)
SITUATION = Situation(least_rows=1_001, statistics=STATISTICS, index=PLAIN)
TURN = UNTUNED.turn(ROWS, 10, is_indexed=True)


@pytest.mark.parametrize(
    ("condition", "way"),
    [
        (MediaTypeIs("tv"), "scan"),
        (MediaTypeIs("movie"), "index"),
        (~MediaTypeIs("movie"), "scan"),
        (RatingBetween(low=5), "index"),
        (RatingBetween(low=9.9), "scan"),
        (RatingBetween(low=5) & MediaTypeIs("tv"), "scan"),
        (GenresAny([28]), "count"),
        (MetadataEquals("country", "FR"), "count"),
        (MetadataRange("runtime", below=90), "count"),
        (RatingBetween(low=5) & GenresAll([28, 35]), "count"),
    ],
)
def test_the_way_follows_what_statistics_say(condition: Condition, way: str) -> None:
    plan = Planner().filtered(SITUATION, condition, "x", 10)
    assert plan.way == way
    assert plan.reason
    assert (plan.index is None) == (way == "scan")


def test_a_table_that_was_never_analyzed_is_counted() -> None:
    plan = Planner().filtered(Situation(least_rows=1_001, index=PLAIN), MediaTypeIs("tv"), "x", 10)
    assert plan.way == "count"
    assert "never analyzed" in plan.reason


def test_what_was_counted_decides_from_then_on() -> None:
    planner = Planner()
    condition = GenresAny([28])
    planner.experiences.passed("few", TURN)
    planner.experiences.passed("many", TURN + 1)
    few = planner.filtered(SITUATION, condition, "few", 10)
    many = planner.filtered(SITUATION, condition, "many", 10)
    assert (few.way, few.rows) == ("scan", (TURN, TURN))
    assert (many.way, many.rows) == ("index", (TURN + 1, ROWS))


def test_without_an_index_everything_is_scanned() -> None:
    situation = Situation(least_rows=1_001, statistics=STATISTICS, index=None)
    for plan in (Planner().unfiltered(situation, 10), Planner().filtered(situation, MediaTypeIs("movie"), "x", 10)):
        assert plan.way == "scan"
        assert "no valid vector index" in plan.reason


def test_rarer_filters_fetch_more_and_many_hits_search_wider() -> None:
    knobs = SearchKnobs(ef_search=40, factors=((0.3, 1.0), (0.1, 1.5), (0.0, 3.0)), walk_ratio=4.0)
    assert [knobs.factor(share) for share in (1.0, 0.3, 0.29, 0.1, 0.05, 0.0)] == [1.0, 1.0, 1.5, 1.5, 3.0, 3.0]
    assert [knobs.width(k) for k in (1, 10, 20, 21, 100, 800)] == [40, 40, 40, 42, 200, 1000]
    situation = Situation(least_rows=1_001, statistics=STATISTICS, index=PLAIN, knobs=knobs)
    plan = Planner().filtered(situation, RatingBetween(low=8), "x", 10)
    assert (plan.fetch, plan.ef_search) == (15, 60)
    assert Planner().filtered(situation, RatingBetween(low=2), "x", 10).fetch == 16


def test_the_turn_grows_with_the_root_of_the_table_and_of_what_is_fetched() -> None:
    assert pytest.approx((20 * 4.2 * ROWS) ** 0.5, abs=1) == TURN
    assert UNTUNED.turn(100 * ROWS, 10, is_indexed=True) == pytest.approx(10 * TURN, rel=0.01)
    assert UNTUNED.turn(ROWS, 40, is_indexed=True) == pytest.approx(2 * TURN, rel=0.01)
    assert UNTUNED.turn(2_000, 1, is_indexed=True) == 1_000


def test_what_a_sample_told_is_no_bound() -> None:
    planner = Planner()
    planner.experiences.passed("many", 50_000, is_sampled=True)
    planner.experiences.passed("few", 0, is_sampled=True)
    condition = MetadataRange("runtime", below=90)
    many, few = (planner.filtered(SITUATION, condition, name, 10) for name in ("many", "few"))
    assert (many.way, many.rows) == ("index", None)
    assert "about 50,000 rows pass" in many.reason
    assert (few.way, few.rows) == ("scan", None)


def test_where_walks_find_too_few_the_scan_comes_first_if_it_costs_less_than_trying_again() -> None:
    planner = Planner()
    condition = RatingBetween(low=5)
    for name, share, failures in (("rare", 0.05, 2), ("rarer", 0.05, 0), ("half", 0.5, 2), ("never", 0.5, 9)):
        planner.experiences.passed(name, int(share * ROWS))
        for _ in range(failures):
            planner.experiences.walked(name, is_filled=False)
    ways = [planner.filtered(SITUATION, condition, name, 10).way for name in ("rare", "rarer", "half", "never")]
    assert ways == ["scan", "index", "index", "scan"]
    for _ in range(20):
        planner.experiences.walked("never", is_filled=True)
    assert planner.filtered(SITUATION, condition, "never", 10).way == "index"


def test_what_searches_came_to_is_forgotten_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    planner = Planner()
    planner.experiences.passed("few", 5)
    planner.experiences.walked("few", is_filled=False)
    known = planner.experiences.of("few")
    assert (known.passed, known.chance) == (5, 1 / 2)
    monkeypatch.setattr(time, "monotonic", lambda: known.valid_until)
    assert planner.experiences.of("few").passed is None
    assert planner.filtered(SITUATION, GenresAny([28]), "few", 10).way == "count"


def test_the_walk_suffices_for_rows_spread_evenly_and_ends_where_reading_all_is_cheaper() -> None:
    for share in (1.0, 0.5, 0.1, 0.03):
        assert UNTUNED.walk(20, share, ROWS, share * ROWS) >= int(2 * 20 / share)
    assert UNTUNED.walk(1, 1.0, 1_200, 1_200) == UNTUNED.ef_search
    assert UNTUNED.walk(20, 0.001, ROWS, 0.001 * ROWS) == ROWS // 20
    assert UNTUNED.walk(10, 0.5, ROWS, 0.5 * ROWS) == int(0.25 * 0.5 * ROWS / UNTUNED.walk_ratio)
    assert UNTUNED.walk(10_000, 0.0, 2**60, 0) == 2**31 - 1


def test_conditions_that_the_server_has_an_index_for() -> None:
    indexed = [
        MediaTypeIs("tv"),
        GenresAny([1]),
        GenresAll([1]),
        RatingBetween(low=1),
        ReleasedBetween(first=date(2000, 1, 1)),
        MetadataEquals("a", 1),
        MetadataIn("a", [1, 2]),
    ]
    unindexed = [MetadataRange("a", low=1), MetadataExists("a"), ~MediaTypeIs("tv")]
    assert all(has_index(condition, STATISTICS) for condition in indexed)
    assert not any(has_index(condition, STATISTICS) for condition in unindexed)
    assert has_index(unindexed[0] & indexed[0], STATISTICS)
    assert not has_index(unindexed[0] | indexed[0], STATISTICS)
    assert has_index(indexed[0] | indexed[1], STATISTICS)


def test_the_session_is_trusted_and_what_differs_from_it_is_set_in_the_statement() -> None:
    planner = Planner()
    statements = NearestStatements(PGVECTOR, 768, UNTUNED.ef_search)
    nothing = Where(text="", values={})
    assert "set_config" not in statements.text(planner.unfiltered(SITUATION, 10), nothing, 10)
    assert "'hnsw.ef_search', '200'" in statements.text(planner.unfiltered(SITUATION, 100), nothing, 100)
    where = where_clause(RatingBetween(low=5))
    plan = planner.filtered(SITUATION, RatingBetween(low=5), "x", 10)
    text = statements.text(plan, where, 10)
    assert "hnsw.max_scan_tuples" in text
    assert "hnsw.ef_search" not in text
    assert "set_config" not in statements.text(replace(plan, walk=400), where, 10)
    rare = planner.filtered(SITUATION, RatingBetween(low=9), "y", 10)
    assert "'hnsw.ef_search', '60'" in statements.text(rare, where, 10)
    for name in where.values:
        assert f"%({name})s" in text


def test_another_engine_gets_no_settings_that_it_does_not_know() -> None:
    plan = Planner().filtered(SITUATION, RatingBetween(low=5), "x", 10)
    text = NearestStatements(RUVECTOR, 768, UNTUNED.ef_search).text(plan, where_clause(RatingBetween(low=5)), 10)
    assert "set_config" not in text


def test_what_was_measured_for_as_many_hits_holds() -> None:
    narrow = SearchKnobs(ef_search=12, factors=((0.0, 2.0),), walk_ratio=4.0)
    situation = Situation(least_rows=1_001, statistics=STATISTICS, index=HALVED, knobs=narrow)
    plans = [
        Planner().unfiltered(situation, k, excluded) for k, excluded in ((10, 0), (10, 1), (5, 0), (11, 0), (1_000, 1))
    ]
    assert [(plan.ef_search, plan.fetch) for plan in plans] == [(12, 12), (13, 13), (12, 7), (22, 14), (1_000, 1_000)]


def test_a_halfvec_search_reranks_and_makes_sure_of_its_index() -> None:
    situation = Situation(least_rows=1_001, statistics=STATISTICS, index=HALVED)
    plan = Planner().unfiltered(situation, 10)
    text = NearestStatements(PGVECTOR, 768, UNTUNED.ef_search).text(plan, Where(text="", values={}), 10)
    assert plan.fetch == 13
    assert "l2_normalize(vector)::halfvec(768) <=> l2_normalize(%(vector)s)::halfvec(768)" in text
    assert "to_regclass('content_vectors_halfvec_idx')" in text
