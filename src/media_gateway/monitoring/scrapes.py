"""What a service tells of itself, read from the text that it gives Prometheus: rates, percentiles, shares."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from media_gateway.monitoring.families import PREFIX

_SHARES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, kw_only=True)
class Scrape:
    """The samples of one moment, *at* (seconds on a monotonic clock), by the names of their series without our prefix."""

    at: float
    series: Mapping[str, Sequence[tuple[Mapping[str, str], float]]]

    def values(self, name: str, **labels: str) -> Iterator[tuple[Mapping[str, str], float]]:
        """Yield the samples of *name* that have *labels*."""
        for found, value in self.series.get(name, ()):
            if labels.items() <= found.items():
                yield found, value

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of *name* that have *labels*, 0 where there is none."""
        return sum(value for _, value in self.values(name, **labels))

    def value(self, name: str, **labels: str) -> float | None:
        """Return the sample of *name* that has *labels*, None where there is none."""
        return next((value for _, value in self.values(name, **labels)), None)


def parsed(text: str, *, at: float) -> Scrape:
    """Return the samples in *text*; raises ValueError when it is not in Prometheus' format."""
    series: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series.setdefault(sample.name.removeprefix(PREFIX), []).append((sample.labels, sample.value))
    return Scrape(at=at, series=series)


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Return the value that *share* of the observations do not exceed, None without observations.

    *buckets* count up to their upper bounds. Within a bucket observations count as spread evenly, as in Prometheus'
    histogram_quantile; beyond the last finite bound the answer is that bound.
    """
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    rank = share * buckets[bounds[-1]]
    lower, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if math.isinf(bound):
                return lower
            within = buckets[bound] - below
            return bound if within <= 0 else lower + (bound - lower) * (rank - below) / within
        lower, below = bound, buckets[bound]
    return lower


def figures(now: Scrape, before: Scrape | None) -> dict[str, Any]:
    """Return what the service does as a JSON object: latencies in ms, rates a second, shares from 0 to 1.

    Rates and latencies are those since *before*; latencies are those since the service began where nothing happened in
    between, and rates are None without a former scrape.
    """
    return {
        "http": _http(now, before),
        "operations": _operations(now, before),
        "searches": _searches(now),
        "recall_target": now.value("recall_target_ratio"),
        "pool": _pool(now, before),
        "embedding": {
            name: now.value(f"embedding_{name}_total")
            for name in ("requests", "errors", "tokens", "cost_dollars", "cache_hits", "cache_misses")
        },
        "records": now.value("collection_records"),
        "rollout": _rollout(now),
        "search_log": {
            outcome: now.total("search_log_rows_total", outcome=outcome) for outcome in ("logged", "dropped")
        },
        "memory_bytes": now.value("process_resident_memory_bytes"),
    }


def _http(now: Scrape, before: Scrape | None) -> dict[str, Any]:
    errors = [value for labels, value in now.values("http_requests_total") if labels.get("status", "").startswith("5")]
    return {
        "requests": now.total("http_requests_total"),
        "server_errors": sum(errors),
        "per_second": _rate(now, before, "http_requests_total"),
        "in_flight": now.value("http_requests_in_flight"),
        "queued": now.value("http_requests_queued"),
        "shed": now.total("http_requests_shed_total"),
        **_latency(now, before, "http_request_duration_seconds"),
    }


def _operations(now: Scrape, before: Scrape | None) -> list[dict[str, Any]]:
    name = "store_operation_duration_seconds"
    return [
        {
            **labels,
            "count": count,
            "errors": now.total("store_operation_errors_total", **labels),
            "per_second": _rate(now, before, f"{name}_count", **labels),
            **_latency(now, before, name, **labels),
        }
        for labels, count in now.values(f"{name}_count")
        if count
    ]


def _searches(now: Scrape) -> list[dict[str, Any]]:
    stores = sorted({labels["store"] for labels, _ in now.values("searches_total")})
    return [
        {
            "store": store,
            "exact": now.total("searches_total", store=store, plan="exact"),
            "index": now.total("searches_total", store=store, plan="index"),
            "short": now.total("searches_short_total", store=store),
            "recall": now.value("recall_ratio", store=store),
            "recall_samples": now.total("recall_samples_total", store=store),
        }
        for store in stores
    ]


def _pool(now: Scrape, before: Scrape | None) -> dict[str, Any] | None:
    most = now.value("pool_connections_max")
    if most is None:
        return None
    return {
        "used": now.value("pool_connections", state="used"),
        "idle": now.value("pool_connections", state="idle"),
        "max": most,
        "timeouts": now.total("pool_timeouts_total"),
        "wait": _latency(now, before, "pool_wait_seconds"),
    }


def _rollout(now: Scrape) -> dict[str, Any] | None:
    modes = [labels["mode"] for labels, value in now.values("rollout_mode") if value]
    if not modes:
        return None
    return {
        "mode": modes[0],
        "share": now.value("rollout_canary_ratio"),
        "epoch": now.value("rollout_epoch"),
        "guard_tripped": now.value("rollout_guard_tripped") == 1,
        "shadow_overlap": now.value("rollout_shadow_overlap_ratio"),
    }


def _rate(now: Scrape, before: Scrape | None, name: str, **labels: str) -> float | None:
    if before is None or now.at <= before.at:
        return None
    # A service that began anew counts from 0 again.
    return max(0.0, now.total(name, **labels) - before.total(name, **labels)) / (now.at - before.at)


def _latency(now: Scrape, before: Scrape | None, name: str, **labels: str) -> dict[str, float | None]:
    buckets = _buckets(now, name, labels)
    former = {} if before is None else _buckets(before, name, labels)
    lately = {bound: count - former.get(bound, 0.0) for bound, count in buckets.items()}
    counted = lately if former and lately.get(math.inf, 0) > 0 else buckets
    found = {share: quantile(counted, share) for share in _SHARES}
    return {f"p{share * 100:.0f}_ms": None if value is None else value * 1000 for share, value in found.items()}


def _buckets(scrape: Scrape, name: str, labels: Mapping[str, str]) -> dict[float, float]:
    buckets: dict[float, float] = {}
    for found, value in scrape.values(f"{name}_bucket", **labels):
        bound = float(found["le"])
        buckets[bound] = buckets.get(bound, 0.0) + value
    return buckets
