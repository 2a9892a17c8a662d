"""Figures out of what a service tells Prometheus."""

import math

import pytest

from media_gateway.monitoring.metrics import Metrics
from media_gateway.monitoring.scrapes import Scrape, figures, parsed, quantile


@pytest.mark.parametrize(
    ("buckets", "share", "value"),
    [
        ({1.0: 10, 2.0: 20, math.inf: 20}, 0.5, 1.0),
        ({1.0: 10, 2.0: 20, math.inf: 20}, 0.75, 1.5),
        ({1.0: 0, 2.0: 4, math.inf: 4}, 0.5, 1.5),
        ({1.0: 1, math.inf: 4}, 0.99, 1.0),
        ({1.0: 0, math.inf: 0}, 0.5, None),
        ({}, 0.5, None),
    ],
)
def test_a_quantile_lies_within_its_bucket(buckets: dict[float, float], share: float, value: float | None):
    assert quantile(buckets, share) == (None if value is None else pytest.approx(value))


def scrape(metrics: Metrics, at: float) -> Scrape:
    return parsed(metrics.render().decode(), at=at)


def test_rates_and_latencies_are_those_since_the_last_look():
    metrics = Metrics()
    seconds = metrics.operation_seconds.labels("search", "memory")
    for _ in range(100):
        seconds.observe(2.0)
    first = scrape(metrics, 10.0)
    (before,) = figures(first, None)["operations"]
    assert before["per_second"] is None
    assert 1000 < before["p50_ms"] <= 2500
    for _ in range(10):
        seconds.observe(0.0004)
    metrics.operation_errors.labels("search", "memory", "StoreError").inc(3)
    second = scrape(metrics, 15.0)
    (lately,) = figures(second, first)["operations"]
    assert (lately["count"], lately["errors"], lately["per_second"]) == (110, 3, 2.0)
    assert 0.25 < lately["p95_ms"] <= 0.5
    # Nothing happened in between, so the whole time must do.
    (idle,) = figures(scrape(metrics, 20.0), second)["operations"]
    assert idle["per_second"] == 0
    assert idle["p95_ms"] > 1000


def test_a_service_that_began_anew_has_no_negative_rates():
    old, new = Metrics(), Metrics()
    for metrics, count in ((old, 50), (new, 2)):
        for _ in range(count):
            metrics.operation_seconds.labels("get", "memory").observe(0.001)
    (found,) = figures(scrape(new, 20.0), scrape(old, 10.0))["operations"]
    assert found["per_second"] == 0


def test_what_is_not_there_is_none():
    found = figures(scrape(Metrics(), 1.0), None)
    assert (found["pool"], found["rollout"], found["records"], found["operations"]) == (None, None, None, [])


def test_what_is_no_text_of_prometheus_is_refused():
    with pytest.raises(ValueError):
        parsed("<html>not found</html>", at=1.0)
