"""How requests reach their routes: keys as they stand in the address, bodies that must be JSON."""

from collections.abc import Callable, Coroutine
from json import JSONDecodeError
from typing import Any, Final
from urllib.parse import unquote

import anyio.to_thread
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from media_gateway.json_values import parse
from media_gateway.server.problems import Problem, ProblemError

CONTENTS: Final = "/v1/contents/"
USERS: Final = "/v1/users/"
"""Addresses below these hold a record's key or a user's name, which may be any text."""
_QUICK_BYTES: Final = 64 * 1024
"""JSON that is parsed in a fraction of a millisecond; more of it leaves the event loop."""


class RawKeys:
    """An ASGI application before *app* that leaves keys in addresses percent-encoded.

    Servers decode an address before it is matched; a key with a slash would then be two parts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes | None = scope.get("raw_path")
        if scope["type"] == "http" and raw and scope["path"].startswith((CONTENTS, USERS)):
            scope = {**scope, "path": raw.decode("ascii", "replace")}
        await self._app(scope, receive, send)


def decoded_key(raw: str) -> str:
    """Return the key that stands percent-encoded in an address; raises ProblemError when it is not UTF-8."""
    try:
        return unquote(raw, errors="strict")
    except UnicodeDecodeError as error:
        raise ProblemError(
            Problem(
                status=422,
                code="invalid-key",
                detail="the key in the address is not percent-encoded UTF-8",
                field="key",
                given=raw,
                expected="percent-encoded UTF-8",
            )
        ) from error


class JsonRoute(APIRoute):
    """A route whose body, where it takes one, must say that it is JSON and be it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            if takes_body:
                _check_type(request.headers.get("content-type"))
                request = _JsonRequest(request.scope, request.receive)
            return await handle(request)

        return strict


class _JsonRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        try:
            if len(body) <= _QUICK_BYTES:
                return parse(body)
            return await anyio.to_thread.run_sync(parse, body)
        except RecursionError as error:
            raise JSONDecodeError("it nests too deep", "", 0) from error


def _check_type(given: str | None) -> None:
    kind, *parameters = (part.strip().lower() for part in (given or "").split(";"))
    charset = next((part for part in parameters if part.startswith("charset=")), "charset=utf-8")
    if kind == "application/json" and charset.replace('"', "") in {"charset=utf-8", "charset=utf8"}:
        return
    raise ProblemError(
        Problem(
            status=415,
            code="not-json",
            detail=f"the request's Content-Type is {given or 'missing'}; send JSON in UTF-8 as application/json",
            field="Content-Type",
            given=given,
            expected="application/json",
        )
    )
