"""uvicorn's HTTP protocol with bounds on what a peer may do before there is a request, and after there is an answer.

uvicorn waits for the headers of a request and for the end of its body as long as the peer likes, takes headers of any
size, and keeps an answer until it is fetched. Here each of these ends after a while, so that a connection costs little.
"""

import asyncio
import logging
import secrets
from typing import Final, cast

from httptools import HttpParserError, HttpRequestParser
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from media_gateway.server.arrivals import ARRIVAL, Arrival, Backlog, arrival_of
from media_gateway.server.http_metrics import HttpMetrics
from media_gateway.server.logs import FIELDS
from media_gateway.server.problems import MEDIA_TYPE, Problem, request_id
from media_gateway.server.reception import SAFE_HEADERS
from media_gateway.server.route_table import OBSERVATIONS
from media_gateway.server.shedding import shed
from media_gateway.settings import Settings

_log = logging.getLogger(__name__)

_MOST_HEADER_BYTES: Final = 32 * 1024
"""Bytes of address and headers together; browsers and proxies stay below 16 KiB."""
_MOST_HEADERS: Final = 100
_LINGERING_SECONDS: Final = 2.0
"""How long a peer may take to fetch a refusal, and how much longer than its time a body may come for that."""


def guarded_protocol(settings: Settings, counts: HttpMetrics) -> type[HttpToolsProtocol]:
    """Return the protocol class for uvicorn's `http`, with the bounds that *settings* give; *counts* hears of refusals."""
    requests = Backlog(settings.http_max_in_flight + settings.http_max_queued)
    counts.watch_backlog(requests)

    class Guarded(GuardedProtocol):
        backlog = requests
        header_seconds = settings.http_header_seconds
        body_seconds = settings.http_body_seconds
        most_connections = settings.http_max_connections
        metrics = counts

    return Guarded


class GuardedProtocol(HttpToolsProtocol):
    """One connection. A peer that breaks a bound gets a problem document where there is a place for it, and is cut off."""

    backlog: Backlog
    header_seconds: float
    body_seconds: float
    most_connections: int
    metrics: HttpMetrics

    _timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _is_dropped = False
    _refusal: Problem | None = None
    _arrival: Arrival

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the headers of a first request."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._refuse(shed("connections", self.metrics))
            return
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers, and requests whose turn had not come."""
        self._cancel_timer()
        for cycle, _ in self.pipeline:
            arrival = arrival_of(cast("Scope", cycle.scope))
            if arrival is not None:
                arrival.is_over()
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in *data*; headers that do not end count against their bound too."""
        if self.transport.is_closing():
            return
        if self._timer is None:
            # The first bytes of a further request; uvicorn stops its own timer with them.
            self._wait_for_headers()
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._header_bytes = 0
        self._arrival = Arrival(backlog=self.backlog)
        cast("dict[str, object]", self.scope)[ARRIVAL] = self._arrival

    def on_url(self, url: bytes) -> None:
        """Count a part of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count(len(name) + len(value))
        if len(self.headers) >= _MOST_HEADERS:
            self._raise_too_large(f"more than {_MOST_HEADERS} headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Go over to waiting for the body; turn the request away at once while there are too many."""
        self._cancel_timer()
        self._timer = self.loop.call_later(self.body_seconds + _LINGERING_SECONDS, self._body_is_late)
        self._is_dropped = self.backlog.is_full and not self._is_observation() and not self._is_busy()
        if not self._is_dropped:
            super().on_headers_complete()
            return
        parser = cast("HttpRequestParser", self.parser)
        is_last = not parser.should_keep_alive()
        self._write(shed("queue-full", self.metrics), method=parser.get_method().decode("ascii"), is_last=is_last)
        if is_last:
            self.transport.close()
            self._linger()

    def on_body(self, body: bytes) -> None:
        """Take in a part of the body; that of a request that was turned away is let pass."""
        if not self._is_dropped:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for nothing: the next request may come when it likes, within uvicorn's time for an idle connection."""
        self._cancel_timer()
        if self._is_dropped:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
            return
        if not self.cycle.response_complete:
            self._arrival.is_whole()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's words
        """Answer what is no HTTP, or too much of it, with a problem document."""
        malformed = Problem(status=400, code="malformed-request", detail="the request is not HTTP/1.1 as it should be")
        self._refuse(self._refusal or malformed)

    def pause_writing(self) -> None:
        """Give the peer a while to take in what is written."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.body_seconds, self._peer_takes_nothing)

    def resume_writing(self) -> None:
        """Go on."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, whether or not the peer has taken in the last answer."""
        super().timeout_keep_alive_handler()
        self._linger()

    def _wait_for_headers(self) -> None:
        self._timer = self.loop.call_later(self.header_seconds, self._headers_are_late)

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _MOST_HEADER_BYTES:
            self._raise_too_large(f"more than {_MOST_HEADER_BYTES:,} bytes of headers")

    def _raise_too_large(self, what: str) -> None:
        self._refusal = Problem(status=431, code="headers-too-large", detail=f"the request has {what}; send less")
        raise HttpParserError(what)

    def _headers_are_late(self) -> None:
        if self._header_bytes == 0 and not self._has_begun():
            # Nothing came at all, as from a browser that keeps a connection in store.
            self.transport.close()
            self._linger()
            return
        self._refuse(
            Problem(
                status=408,
                code="headers-timeout",
                detail=f"the headers did not come within {self.header_seconds:g} s; send them quicker",
            )
        )

    def _has_begun(self) -> bool:
        return getattr(self, "url", None) is not None

    def _body_is_late(self) -> None:
        _log.warning("a connection was cut off: the body of its request did not end within %g s", self.body_seconds)
        self.transport.abort()

    def _peer_takes_nothing(self) -> None:
        _log.warning("a connection was cut off: its peer took nothing in for %g s", self.body_seconds)
        self.transport.abort()

    def _is_observation(self) -> bool:
        return self.url.partition(b"?")[0].decode("ascii", "replace") in OBSERVATIONS

    def _is_busy(self) -> bool:
        """Return whether an earlier request is being answered, or waits to be."""
        # uvicorn has None there until a first request.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _refuse(self, problem: Problem) -> None:
        """Answer with *problem* unless an earlier request is being answered, and close the connection."""
        self._cancel_timer()
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if not self._is_busy():
            self._write(problem, is_last=True)
        else:
            if cycle.more_body and not cycle.response_started:
                # It is this request whose body is wrong.
                self._write(problem, is_last=True)
            # What has come of it is dropped, and so is another answer to it.
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()
        self._linger()

    def _write(self, problem: Problem, *, method: str = "-", is_last: bool) -> None:
        """Answer with *problem*, log it and count it."""
        token = request_id.set(secrets.token_hex(8))
        self.metrics.count(method, "-", problem.status, 0.0)
        fields = {"event": "request", "method": method, "route": "-", "status": problem.status}
        _log.info("request", extra={FIELDS: fields})
        self.transport.write(_answer(problem, has_body=method != "HEAD", is_last=is_last))
        request_id.reset(token)

    def _linger(self) -> None:
        self.loop.call_later(_LINGERING_SECONDS, self.transport.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _answer(problem: Problem, *, has_body: bool, is_last: bool) -> bytes:
    """Return *problem* as the bytes of an answer, after which the connection ends when it *is_last*."""
    body = problem.body()
    headers = {
        b"content-type": MEDIA_TYPE.encode(),
        b"content-length": str(len(body)).encode(),
        b"x-request-id": (request_id.get() or "").encode(),
        **({b"connection": b"close"} if is_last else {}),
        **{name.lower().encode(): value.encode("latin-1") for name, value in problem.headers.items()},
        **SAFE_HEADERS,
    }
    lines = b"".join(b"%b: %b\r\n" % line for line in headers.items())
    return STATUS_LINE[problem.status] + lines + b"\r\n" + (body if has_body else b"")
