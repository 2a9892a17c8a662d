"""The first gate: gives each request an id, writes its line in the log, counts it, and answers what nobody foresaw."""

import logging
import re
import secrets
import time
import traceback
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from media_gateway.server.arrivals import arrival_of
from media_gateway.server.exchange import Exchange
from media_gateway.server.http_metrics import HttpMetrics
from media_gateway.server.logs import FIELDS
from media_gateway.server.problems import request_id
from media_gateway.server.refusals import unexpected
from media_gateway.server.repeats import Repeats
from media_gateway.server.route_table import RouteTable

_log = logging.getLogger(__name__)

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HUNG_UP: Final = 499
"""What the log and the metrics say of a request whose caller hung up before there was an answer, as nginx does."""

# What pages of the service may do: show what it serves itself, and ask it. Nobody may frame them.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
SAFE_HEADERS: Final = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
"""What every answer tells browsers."""


class Reception:
    """Takes every request in, and sees every answer out."""

    def __init__(self, app: ASGIApp, *, counts: HttpMetrics) -> None:
        self._app = app
        self._counts = counts
        self._routes: RouteTable | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._routes is None:
            self._routes = RouteTable(scope["app"])
        exchange = Exchange(request_id=_id_of(scope), route=self._routes.find(scope)).attach(scope)
        arrival = arrival_of(scope)
        if arrival is not None and exchange.route.is_observation:
            arrival.is_over()
        token = request_id.set(exchange.request_id)
        began = time.perf_counter()
        out = _SeeingOut(send, exchange)
        try:
            await self._app(scope, receive, out)
        except Exception as error:  # noqa: BLE001  it is logged and answered
            self._tell_unforeseen(scope, exchange, error)
            if exchange.status is not None:
                # Half an answer is out; the server cuts the connection, so that nobody takes it for whole.
                return
            await unexpected().response()(scope, receive, out)
        finally:
            self._tell(scope["method"], exchange, time.perf_counter() - began)
            request_id.reset(token)
            if arrival is not None:
                arrival.is_over()

    def _tell_unforeseen(self, scope: Scope, exchange: Exchange, error: Exception) -> None:
        exchange.code = unexpected().code
        repeats: Repeats = scope["app"].state.repeats
        place = traceback.extract_tb(error.__traceback__)[-1]
        repeats.tell(
            (exchange.route.name, type(error), place.filename, place.lineno),
            "an error that nobody foresaw",
            where=f"{scope['method']} {exchange.route.name}",
            level=logging.ERROR,
            with_trace=True,
        )

    def _tell(self, method: str, exchange: Exchange, seconds: float) -> None:
        status = exchange.status or _HUNG_UP
        self._counts.count(method, exchange.route.name, status, seconds)
        # Probes and scrapes that go well would fill the log.
        level = logging.DEBUG if exchange.route.is_observation and status < HTTPStatus.BAD_REQUEST else logging.INFO
        if _log.isEnabledFor(level):
            fields = {
                "event": "request",
                "method": method,
                "route": exchange.route.name,
                "status": status,
                "code": exchange.code,
                "ms": round(seconds * 1000, 3),
                "key": exchange.caller.name,
            }
            _log.log(level, "request", extra={FIELDS: fields})


class _SeeingOut:
    """A `send` that adds the headers of every answer and remembers its status."""

    def __init__(self, send: Send, exchange: Exchange) -> None:
        self._send = send
        self._exchange = exchange

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._exchange.status = message["status"]
            headers = list(message.get("headers", ()))
            given = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in SAFE_HEADERS.items() if name not in given]
            headers.append((b"x-request-id", self._exchange.request_id.encode()))
            message = {**message, "headers": headers}
        await self._send(message)


def _id_of(scope: Scope) -> str:
    """Return the id that the request brings, if it is a short plain word, and otherwise a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            return value.decode("ascii")
    return secrets.token_hex(8)
