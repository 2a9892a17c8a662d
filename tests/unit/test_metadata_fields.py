"""Fields of metadata with an index of their own: what the index holds, and what its statistics say of a filter."""

from typing import Any

import pytest

from media_gateway.database.metadata_fields import MetadataField, field_of, noted_field
from media_gateway.database.where import where_clause
from media_gateway.errors import InvalidRequestError
from media_gateway.filters import Condition, MediaTypeIs, MetadataEquals, MetadataIn, MetadataRange
from media_gateway.stores.postgres.planner import Planner
from media_gateway.stores.postgres.selectivity import has_index, passing_share
from media_gateway.stores.postgres.situation import Situation, VectorIndex
from media_gateway.stores.postgres.statistics import ColumnStatistics, TableStatistics, statistics_from

RUNTIME = MetadataField(name="runtime", type="number")
COUNTRY = MetadataField(name="country", type="text")
FIELDS = TableStatistics(
    rows=100_000,
    columns={},
    fields={
        # A tenth has none; 90 is common, the others lie evenly between 0 and 200.
        RUNTIME: ColumnStatistics(
            null_share=0.1, common={90.0: 0.1}, histogram=[float(number) for number in range(0, 201, 2)]
        ),
        COUNTRY: ColumnStatistics(common={"FR": 0.2, "US": 0.4}, histogram=["AA", "DE", "GB", "IT", "ZZ"]),
        MetadataField(name="unknown", type="number"): None,
    },
)


def test_names_are_unique_and_fit_and_the_comment_tells_the_field() -> None:
    fields = [MetadataField(name=name, type=kind) for name in ("a", "A", "ä" * 100, "") for kind in ("number", "text")]
    assert len({field.index_name for field in fields}) == len(fields)
    assert all(len(field.index_name) <= 63 - len("_ccnew1") for field in fields)
    assert [noted_field(field.index_name, field.note) for field in fields] == fields
    for comment in (
        None,
        "",
        "mine",
        "[]",
        "{}",
        '{"field": "a", "type": "date"}',
        '{"field": 1, "type": "text"}',
        COUNTRY.note,
    ):
        assert noted_field(RUNTIME.index_name, comment) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a" * 201, "number"), ("ä" * 101, "text"), ("a\x00", "text"), ("a\ud800", "text"), ("a", "date")],
)
def test_other_names_and_types_are_refused(name: str, kind: Any) -> None:
    with pytest.raises(InvalidRequestError, match="expected"):
        MetadataField(name=name, type=kind)


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        (MetadataRange("a", low=1), "number"),
        (MetadataRange("a", low=-1e29, below=1e-13), "number"),
        (MetadataRange("a", low=10**30), None),
        (MetadataRange("a", low=0, high=1e-31), None),
        (MetadataRange("a", low="x" * 499), "text"),
        (MetadataRange("a", low="x", high="x" * 500), None),
        (MetadataRange("b" * 201, low=1), None),
        (MetadataEquals("a", 1.5), "number"),
        (MetadataEquals("a", "x"), "text"),
        (MetadataEquals("a", True), None),
        (MetadataEquals("a", [1]), None),
        (MetadataEquals("a", "x" * 500), None),
        (MediaTypeIs("tv"), None),
    ],
)
def test_only_plain_bounds_are_served_by_an_index(condition: Condition, kind: str | None) -> None:
    field = field_of(condition)
    assert (field.type if field else None) == kind


def test_bounds_that_no_index_serves_compare_the_value_itself() -> None:
    assert "left(" in where_clause(MetadataRange("a", low="x")).text
    assert "left(" not in where_clause(MetadataRange("a", low="x" * 500)).text
    assert "trunc(" in where_clause(MetadataRange("a", low=1)).text
    assert "trunc(" not in where_clause(MetadataRange("a", low=10**30)).text


@pytest.mark.parametrize(
    ("condition", "share"),
    [
        (MetadataRange("runtime", below=90), (0.36, 0.36)),
        (MetadataRange("runtime", high=90), (0.46, 0.46)),
        (MetadataRange("runtime", low=50, above=100), (0.4, 0.4)),
        (MetadataRange("runtime", low=90, high=90), (0.1, 0.1)),
        (MetadataRange("runtime", low=91, high=91), (0.0, 0.01)),
        (MetadataRange("runtime", above=500), (0.0, 0.0)),
        (MetadataRange("runtime", low=150, high=20), (0.0, 0.0)),
        (~MetadataRange("runtime", below=90), (0.64, 0.64)),
        (MetadataRange("runtime", low="a"), (0.0, 1.0)),
        (MetadataRange("unknown", low=1), (0.0, 1.0)),
        (MetadataRange("other", low=1), (0.0, 1.0)),
        (MetadataRange("country", low="E", below="G"), (0.2, 0.3)),
        (MetadataRange("country", low="B", below="J"), (0.4, 0.6)),
        (MetadataRange("country", low="US", high="US"), (0.4, 0.5)),
        (MetadataEquals("runtime", 90), (0.1, 0.1)),
        (MetadataEquals("country", "US"), (0.4, 0.4)),
        (MetadataEquals("country", "IE"), (0.0, 0.2)),
        (MetadataEquals("country", None), (0.0, 1.0)),
        (MetadataIn("country", ["US", "FR"]), (0.4, 0.6)),
    ],
)
def test_statistics_of_a_field_tell_the_share(condition: Condition, share: tuple[float, float]) -> None:
    assert passing_share(condition, FIELDS) == pytest.approx(share)


def test_few_distinct_values_have_no_histogram() -> None:
    column = ColumnStatistics(common={1.0: 0.25, 2.0: 0.7})
    statistics = TableStatistics(rows=1_000, columns={}, fields={RUNTIME: column})
    assert passing_share(MetadataRange("runtime", above=1), statistics) == pytest.approx((0.7, 0.75))


def test_values_beyond_what_is_told_apart_are_infinite_in_the_histogram() -> None:
    column = ColumnStatistics(histogram=[float("-inf"), 0.0, 10.0, float("inf")])
    statistics = TableStatistics(rows=1_000, columns={}, fields={RUNTIME: column})
    assert passing_share(MetadataRange("runtime", low=-5, below=5), statistics) == pytest.approx((0.5, 0.5))
    assert passing_share(MetadataRange("runtime", above=50), statistics) == pytest.approx((1 / 3, 1 / 3))


def test_what_the_server_says_of_its_indexes_becomes_statistics() -> None:
    rows = [
        (RUNTIME.index_name, RUNTIME.note, 0.5, ["90", "1.5"], [0.2, 0.1], ["-Infinity", "10.250", "20"]),
        (COUNTRY.index_name, COUNTRY.note, None, None, None, None),
        ("content_vectors_field_mine", "mine", 0.0, None, None, None),
    ]
    found = statistics_from([(10.0, None, None, None, None, None, None, None)], rows).fields
    expected = ColumnStatistics(null_share=0.5, common={90.0: 0.2, 1.5: 0.1}, histogram=[float("-inf"), 10.25, 20.0])
    assert found == {RUNTIME: expected, COUNTRY: None}


def test_a_range_over_an_indexed_field_is_planned_by_its_statistics() -> None:
    index = VectorIndex(name="content_vectors_hnsw_idx", is_halved=False)
    situation = Situation(least_rows=1_001, statistics=FIELDS, index=index)
    rare, often, alone = (
        MetadataRange("runtime", below=1),
        MetadataRange("runtime", below=90),
        MetadataRange("it's", low=1),
    )
    assert [has_index(condition, FIELDS) for condition in (rare, often, alone)] == [True, True, False]
    plans = [Planner().filtered(situation, condition, "x", 10) for condition in (rare, often, alone, rare & alone)]
    assert [plan.way for plan in plans] == ["scan", "index", plans[2].way, "scan"]
    advice = "an index on the field would tell: media-gateway index field 'it'\"'\"'s' --type number"
    assert [advice in plan.reason for plan in plans] == [False, False, True, False]
