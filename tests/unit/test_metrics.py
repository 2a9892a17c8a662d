"""The metrics of a process: their names, what is counted, and what happens when a source fails."""

import re
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from media_gateway.monitoring.families import COUNTED, PREFIX, READ
from media_gateway.monitoring.metrics import LATENCY_BUCKETS, Metrics
from media_gateway.monitoring.sources import (
    RolloutFacts,
    embedding_reading,
    pool_is_busy,
    pool_reading,
    search_log_reading,
)
from media_gateway.server.http_metrics import HttpMetrics

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
FAMILIES = {**COUNTED, **READ}
UNITS = ("seconds", "bytes", "ratio", "dollars")
OF_OTHERS = "http_"
"""Families that the service registers."""


def rendered(metrics: Metrics) -> dict[str, Metric]:
    return {metric.name: metric for metric in text_string_to_metric_families(metrics.render().decode())}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(PREFIX + name, labels)


@pytest.mark.parametrize("name", FAMILIES)
def test_names_follow_the_conventions(name: str):
    family = FAMILIES[name]
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
    assert not re.search(r"_(milliseconds|ms|kb|mb|percent|count|sum|bucket|created)(_|$)", name)
    assert name.endswith("_total") == (family.kind == "counter")
    assert family.kind not in name.split("_")
    if family.kind == "histogram":
        assert name.endswith("_seconds")
    # A unit comes last, but for what counts up and for Unix times.
    words = name.removesuffix("_total").split("_")
    assert all(word not in UNITS for word in words[:-1]) or "timestamp" in words
    assert all(re.fullmatch(r"[a-z]+", label) and label not in {"le", "quantile"} for label in family.labels)
    assert len(family.help) > 20
    assert family.help[0].isupper() or family.help[0].isdigit()


def test_everything_is_rendered_with_its_type_and_help_before_anything_happened():
    text = Metrics().render().decode()
    for name, family in FAMILIES.items():
        assert f"# TYPE {PREFIX}{name} {family.kind}\n" in text
        assert re.search(rf"^# HELP {PREFIX}{name} \S", text, re.MULTILINE)
    assert "_created" not in text


def test_the_reference_names_every_family_with_its_type_and_labels_and_no_other():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.+) \|$", REFERENCE.read_text(), re.MULTILINE)
    documented = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, _ in rows
        if not name.startswith(OF_OTHERS)
    }
    assert documented == {name: (family.kind, family.labels) for name, family in FAMILIES.items()}


def test_it_names_those_of_the_service_too():
    registry = Metrics().registry
    before = {metric.name for metric in registry.collect()}
    HttpMetrics(registry)
    made = {metric.name: metric.type for metric in registry.collect() if metric.name not in before}
    rows = re.findall(r"^\| `(http_\w+)` \| (\w+) \|", REFERENCE.read_text(), re.MULTILINE)
    assert {PREFIX + name.removesuffix("_total"): kind for name, kind in rows} == made


def test_the_buckets_grow():
    assert list(LATENCY_BUCKETS) == sorted(set(LATENCY_BUCKETS))


def test_a_source_that_fails_takes_no_other_along_and_one_that_is_put_anew_replaces_the_former():
    metrics = Metrics()
    metrics.put("bad", lambda: {"postgres_up": 1 / 0})
    metrics.put("good", lambda: {"recall_target_ratio": 0.9})
    metrics.put("memory", lambda: {"recall_ratio": {("memory",): 0.97}})
    metrics.put("postgres", lambda: {"recall_ratio": {("postgres",): 0.91}})
    assert value(metrics, "postgres_up") is None
    assert value(metrics, "recall_target_ratio") == 0.9
    assert value(metrics, "recall_ratio", store="memory") == 0.97
    assert value(metrics, "recall_ratio", store="postgres") == 0.91
    metrics.put("bad", lambda: {"postgres_up": 1.0})
    metrics.remove("good")
    assert value(metrics, "postgres_up") == 1
    assert value(metrics, "recall_target_ratio") is None


def test_what_others_register_is_rendered_with_the_rest():
    metrics = Metrics()
    assert "process_resident_memory_bytes" in rendered(metrics)


def test_what_an_embedder_reports():
    service = {"requests": 7, "failed": 2, "tokens": 900, "cost": 0.5}
    cache = {"cache": {"memory": 3, "shared": 1, "table": 2, "misses": 4}}
    assert embedding_reading({**service, **cache}) == {
        "embedding_requests_total": 7,
        "embedding_errors_total": 2,
        "embedding_tokens_total": 900,
        "embedding_cost_dollars_total": 0.5,
        "embedding_cache_hits_total": 6,
        "embedding_cache_misses_total": 4,
    }
    assert embedding_reading({})["embedding_cost_dollars_total"] == 0
    assert "embedding_cost_dollars_total" not in embedding_reading({"cost": None})


def test_what_a_log_and_a_pool_report():
    log = {"share": 0.01, "logged": 5, "dropped": 1, "waiting": 2}
    assert search_log_reading(log) == {"search_log_rows_total": {("logged",): 5, ("dropped",): 1}}
    pool = {"pool_size": 5, "pool_available": 2, "pool_max": 20}
    assert pool_reading(pool) == {
        "pool_connections": {("idle",): 2, ("used",): 3},
        "pool_connections_max": 20,
    }


@pytest.mark.parametrize(
    ("measures", "is_busy"),
    [
        ({"pool_size": 5, "pool_available": 0, "pool_max": 20}, False),
        ({"pool_size": 20, "pool_available": 0, "pool_max": 20}, True),
        ({"pool_size": 20, "pool_available": 1, "pool_max": 20}, False),
        ({"pool_size": 2, "pool_available": 1, "pool_max": 20, "requests_waiting": 1}, True),
    ],
)
def test_when_a_pool_is_busy(measures: dict[str, int], is_busy: bool):
    assert pool_is_busy(measures) == is_busy


def test_where_a_rollout_stands():
    facts = RolloutFacts(mode="canary", share=0.25, epoch=3, is_tripped=False, overlap=None)
    assert facts.samples() == {
        "rollout_mode": {("off",): 0, ("shadow",): 0, ("canary",): 1, ("on",): 0},
        "rollout_canary_ratio": 0.25,
        "rollout_epoch": 3,
        "rollout_guard_tripped": 0,
    }
