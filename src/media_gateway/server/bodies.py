"""The gate that takes in a request's body: not too large, not too slowly, and not too many at once.

A body is read whole before its request may take up room, so that somebody who sends a byte a second holds nobody up.
"""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from media_gateway.server.exchange import exchange_of
from media_gateway.server.http_metrics import HttpMetrics
from media_gateway.server.problems import Problem
from media_gateway.server.shedding import shed

_LARGEST_AT_ONCE: Final = 4
"""Bodies of the largest size that are held at once, in bytes altogether: parsed they take several times as much."""


class BodyGate:
    """Refuses bodies of more than *most_bytes* (413), and those that take longer than *seconds* to come (408)."""

    def __init__(self, app: ASGIApp, *, most_bytes: int, seconds: float, counts: HttpMetrics) -> None:
        self._app = app
        self._most = most_bytes
        self._seconds = seconds
        self._counts = counts
        self._room = _LARGEST_AT_ONCE * most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or exchange_of(scope).route.is_observation or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        body = bytearray()
        try:
            is_whole = await self._read(body, _declared(scope), receive)
            if is_whole:
                await self._app(scope, _Replayed(bytes(body), receive), send)
        except _RefusedError as refused:
            await refused.problem.response()(scope, receive, send)
        finally:
            self._room += len(body)

    async def _read(self, body: bytearray, declared: int, receive: Receive) -> bool:
        """Fill *body* and return True, or False when the caller has hung up; raises _RefusedError."""
        if declared > self._most:
            raise _RefusedError(self._too_large(declared))
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return False
                    self._take(body, message.get("body", b""))
                    if not message.get("more_body", False):
                        return True
        except TimeoutError:
            problem = Problem(
                status=408,
                code="body-timeout",
                detail=f"{len(body):,} bytes of the body came within {self._seconds:g} s; send it quicker",
                given=len(body),
                expected=f"the whole body within {self._seconds:g} s",
                headers={"Connection": "close"},
            )
            raise _RefusedError(problem) from None

    def _take(self, body: bytearray, chunk: bytes) -> None:
        if len(body) + len(chunk) > self._most:
            raise _RefusedError(self._too_large(None))
        if len(chunk) > self._room:
            raise _RefusedError(shed("bodies", self._counts))
        self._room -= len(chunk)
        body += chunk

    def _too_large(self, size: int | None) -> Problem:
        has = f"{size:,} bytes" if size is not None else f"more than {self._most:,} bytes"
        return Problem(
            status=413,
            code="body-too-large",
            detail=f"the body has {has}; expected at most {self._most:,}, so send it in parts",
            given=size,
            expected=f"at most {self._most} bytes",
        )


class _RefusedError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class _Replayed:
    """A `receive` that gives *body* whole, and then what comes after it."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _has_body(scope: Scope) -> bool:
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])


def _declared(scope: Scope) -> int:
    """Return the length that the headers tell, 0 for none; the server has refused what is no number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
    return 0
