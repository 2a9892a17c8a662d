"""The gate before the work itself: as many requests at once as there is room for, and each for a limited time."""

import asyncio
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from media_gateway.server.admission import Admission, CallerGoneError, ShedError
from media_gateway.server.arrivals import arrival_of
from media_gateway.server.exchange import exchange_of
from media_gateway.server.http_metrics import HttpMetrics
from media_gateway.server.problems import Problem
from media_gateway.server.shedding import shed

_log = logging.getLogger(__name__)


class WorkGate:
    """Lets requests in as *admission* has room (503 otherwise), and gives them up after *seconds* (504).

    Room is taken until an answer begins: sending it depends on the caller, who may be slow.
    """

    def __init__(self, app: ASGIApp, *, admission: Admission, seconds: float, counts: HttpMetrics) -> None:
        self._app = app
        self._admission = admission
        self._seconds = seconds
        self._counts = counts
        counts.watch(admission)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or exchange_of(scope).route.is_observation:
            await self._app(scope, receive, send)
            return
        hearing = _Hearing(receive)
        try:
            await self._enter(scope, hearing)
        except ShedError as refused:
            await shed(refused.reason, self._counts).response()(scope, receive, send)
            return
        except CallerGoneError:
            return
        await self._work(scope, hearing, _Leaving(self._admission, send))

    async def _enter(self, scope: Scope, hearing: "_Hearing") -> None:
        arrival = arrival_of(scope)
        if arrival is not None and arrival.is_surplus:
            raise ShedError("queue-full")
        await self._admission.enter(hearing.disconnect)

    async def _work(self, scope: Scope, receive: Receive, send: "_Leaving") -> None:
        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                await self._app(scope, receive, send)
        except TimeoutError:
            if not limit.expired():
                raise
            if send.has_left:
                # Too late for another answer; the server cuts the connection, so that nobody takes it for whole.
                _log.warning("an answer was cut off after %g s", self._seconds)
                return
            await self._too_slow().response()(scope, receive, send)
        finally:
            send.leave()

    def _too_slow(self) -> Problem:
        return Problem(
            status=504,
            code="request-timeout",
            detail=f"the request was worked on for {self._seconds:g} s and given up; "
            "what it was to write may be there or not, so read before writing again",
            expected=f"an answer within {self._seconds:g} s",
        )


class _Leaving:
    """A `send` that makes room for the next request as the answer begins."""

    def __init__(self, admission: Admission, send: Send) -> None:
        self._admission = admission
        self._send = send
        self.has_left = False

    async def __call__(self, message: Message) -> None:
        self.leave()
        await self._send(message)

    def leave(self) -> None:
        if not self.has_left:
            self.has_left = True
            self._admission.leave()


class _Hearing:
    """A `receive` that can listen for the caller's hanging up without losing a part of the body."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._heard: list[Message] = []

    async def __call__(self) -> Message:
        return self._heard.pop(0) if self._heard else await self._receive()

    async def disconnect(self) -> None:
        """Return when the caller has hung up."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return
            self._heard.append(message)
