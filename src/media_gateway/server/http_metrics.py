"""What the service counts of its requests."""

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from media_gateway.server.admission import Admission, ShedReason
    from media_gateway.server.arrivals import Backlog

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; a search takes a few milliseconds, and a request at most 30 s by default."""


class HttpMetrics:
    """The metrics of requests, in *registry*. Labels take a few values only: routes by their pattern, not addresses."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._admission: Admission | None = None
        self._backlog: Backlog | None = None
        self._requests = Counter(
            "media_gateway_http_requests_total",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "media_gateway_http_request_duration_seconds",
            "Seconds from the headers of a request to the end of its answer.",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "media_gateway_http_requests_in_flight", "Requests that are being worked on.", registry=registry
        )
        self._queued = Gauge(
            "media_gateway_http_requests_queued", "Requests that wait to be worked on.", registry=registry
        )
        self._shed = Counter(
            "media_gateway_http_requests_shed_total",
            "Requests that were turned away because there was no room for them.",
            ("reason",),
            registry=registry,
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered with *status* after *seconds*."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)

    def count_shed(self, reason: "ShedReason") -> None:
        """Count a request that there was no room for."""
        self._shed.labels(reason).inc()

    def watch(self, admission: "Admission") -> None:
        """Tell from now on how many *admission* has let in and how many wait there."""
        self._admission = admission
        self._in_flight.set_function(lambda: admission.in_flight)
        self._queued.set_function(self._waiting)

    def watch_backlog(self, backlog: "Backlog") -> None:
        """Count from now on among those who wait also the ones in *backlog* who have not come so far."""
        self._backlog = backlog

    def _waiting(self) -> int:
        if self._admission is None:
            return 0
        before = 0 if self._backlog is None else self._backlog.count - self._admission.in_flight
        return max(self._admission.queued, before)
