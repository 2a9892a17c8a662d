"""When searches are tuned anew without anybody asking."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from media_gateway.stores.postgres.tuning.occasions import Standing, occasion

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PAUSE = timedelta(hours=6)
TUNED = Standing(
    now=NOW, target=0.95, rows=10_000, searches=50, tuned_at=NOW - timedelta(days=3), tuned_rows=9_000,
)  # fmt: skip
LOW = replace(TUNED, recall=0.90, high=0.93, samples=100)


def trigger(standing: Standing) -> str | None:
    due = occasion(standing, pause=PAUSE)
    return None if due is None else due.trigger


def test_without_a_reason_nothing_is_due():
    assert trigger(TUNED) is None
    assert trigger(replace(TUNED, recall=0.97, high=0.99, samples=200)) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "recall"),
        ({"samples": 49}, None),
        # It may well be at the target.
        ({"high": 0.955}, None),
        # Real searches need not be logged for their recall to count.
        ({"searches": 0}, "recall"),
    ],
)
def test_a_recall_that_is_surely_too_low(changes: dict[str, float], expected: str | None):
    assert trigger(replace(LOW, **changes)) == expected


def test_the_sentence_has_the_figures():
    due = occasion(LOW, pause=PAUSE)
    assert due is not None
    assert due.reason == "recall of 100 real searches is 0.900, surely below 0.95"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rows": 13_500}, "growth"),
        ({"rows": 13_499}, None),
        ({"rows": None}, None),
        ({"rows": 50_000, "searches": 49}, None),
        ({"tuned_at": None, "tuned_rows": None}, "untuned"),
        ({"tuned_at": None, "tuned_rows": None, "searches": 10}, None),
    ],
)
def test_growth_and_a_first_tuning_wait_for_real_searches(changes: dict[str, int | None], expected: str | None):
    assert trigger(replace(TUNED, **changes)) == expected


@pytest.mark.parametrize("field", ["noted_at", "tuned_at"])
def test_there_is_a_pause_after_whatever_was_done_last(field: str):
    assert trigger(replace(LOW, **{field: NOW - PAUSE + timedelta(seconds=1)})) is None
    assert trigger(replace(LOW, **{field: NOW - PAUSE})) == "recall"
