"""The metrics of one process, in a registry of their own."""

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from media_gateway.monitoring.families import COUNTED, PREFIX, READ, Family, Reading, Samples

_log = logging.getLogger(__name__)

LATENCY_BUCKETS: Final = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0),
)
"""Seconds: a search takes from a third of a millisecond to the statement timeout."""

Source = Callable[[], Reading]
"""Gives samples at once, from memory: nothing is asked of anybody while Prometheus waits."""


class Metrics:
    """Counters, histograms and what *sources* read, in a registry of their own; one for each gateway.

    What takes time to read is read in the background every *refresh_seconds*. Whatever else a process has to tell is
    registered on `registry` and rendered with the rest.
    """

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self, *, refresh_seconds: float = 15.0) -> None:
        self.refresh_seconds: Final = refresh_seconds
        self.registry = CollectorRegistry()
        self._sources = _Sources()
        self.registry.register(self._sources)
        ProcessCollector(registry=self.registry)
        self.operation_seconds = self._latencies("store_operation_duration_seconds")
        self.operation_errors = self._counter("store_operation_errors_total")
        self.searches = self._counter("searches_total")
        self.short_searches = self._counter("searches_short_total")
        self.recall_samples = self._counter("recall_samples_total")
        self.pool_wait = self._latencies("pool_wait_seconds")
        self.pool_timeouts = self._counter("pool_timeouts_total")

    def put(self, name: str, source: Source) -> None:
        """Read *source* whenever the metrics are asked for, in place of a former one called *name*.

        A source that fails has no samples then.
        """
        self._sources.by_name[name] = source

    def remove(self, name: str) -> None:
        """Ask the source called *name* no more, if there is one."""
        self._sources.by_name.pop(name, None)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format; nothing is waited for."""
        return generate_latest(_WithoutBirths(self.registry))  # pyright: ignore[reportArgumentType]  only collects

    def _counter(self, name: str) -> Counter:
        family = COUNTED[name]
        return Counter(PREFIX + name, family.help, family.labels, registry=self.registry)

    def _latencies(self, name: str) -> "Latencies":
        latencies = Latencies(PREFIX + name, COUNTED[name])
        self.registry.register(latencies)
        return latencies


class Latency:
    """Observations of one series: how many fell into each bucket, and their sum."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(LATENCY_BUCKETS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count an observation; to be called in one thread."""
        self.counts[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self.sum += seconds


class Latencies(Collector):
    """A histogram of latencies for each combination of labels.

    The library's own takes a lock for the sum and one for the bucket, 3 microseconds where this takes 0.3; a search
    passes two of them.
    """

    def __init__(self, name: str, family: Family) -> None:
        self._name = name
        self._family = family
        self._series: dict[tuple[str, ...], Latency] = {} if family.labels else {(): Latency()}

    def labels(self, *values: str) -> Latency:
        """Return the series of these *values* of the family's labels."""
        return self._series.setdefault(values, Latency())

    def observe(self, seconds: float) -> None:
        """Count an observation of a family without labels."""
        self._series[()].observe(seconds)

    def collect(self) -> Iterator[Metric]:
        metric = HistogramMetricFamily(self._name, self._family.help, labels=self._family.labels)
        for values, series in list(self._series.items()):
            reached = list(accumulate(series.counts))
            bounds = [*map(str, LATENCY_BUCKETS), "+Inf"]
            metric.add_metric(values, buckets=list(zip(bounds, reached, strict=True)), sum_value=series.sum)
        yield metric


class _Sources(Collector):
    """Makes families of what sources read; those without samples still show their help."""

    def __init__(self) -> None:
        self.by_name: dict[str, Source] = {}

    def collect(self) -> Iterator[Metric]:
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for called, source in list(self.by_name.items()):
            try:
                reading = source()
            except Exception:  # noqa: BLE001  one that fails must not take the others along
                _log.info("the metrics called %s cannot be read", called, exc_info=True)
                continue
            for name, samples in reading.items():
                found.setdefault(name, {}).update(_by_labels(samples))
        for name, family in READ.items():
            yield _metric(PREFIX + name, family, found.get(name, {}))

    def describe(self) -> Sequence[Metric]:
        return [_metric(PREFIX + name, family, {}) for name, family in READ.items()]


class _WithoutBirths:
    """A registry without `_created` series, which tell when a counter began and nearly double what is sent."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


def _metric(name: str, family: Family, samples: Samples) -> Metric:
    metric_class = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = metric_class(name, family.help, labels=family.labels)
    for labels, value in _by_labels(samples).items():
        metric.add_metric(labels, value)
    return metric


def _by_labels(samples: Samples) -> Mapping[tuple[str, ...], float]:
    return {(): float(samples)} if isinstance(samples, int | float) else samples
