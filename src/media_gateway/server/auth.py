"""Who may do what: the gate that lets callers in by their keys, and what routes declare that they need."""

import logging
import math
import time
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from media_gateway.errors import KeysFileError
from media_gateway.server.exchange import Caller, Exchange, exchange_of
from media_gateway.server.keys import KeyRing
from media_gateway.server.keys import Scope as KeyScope
from media_gateway.server.problems import Problem, ProblemError
from media_gateway.server.rates import RateLimits

_log = logging.getLogger(__name__)

_BEARER: Final = "bearer "
_HOW: Final = "send it as Authorization: Bearer KEY or as X-API-Key: KEY; media-gateway keys create makes one"
_NOT_TOLD_AGAIN: Final = 10.0
"""Seconds for which an unusable file is not told of again in the log."""

_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="An API key.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="apiKey", description="An API key.")


class Needs:
    """A FastAPI dependency: the caller, who may do what *scope* allows; 401 or 403 for everybody else."""

    def __init__(self, scope: KeyScope) -> None:
        self.needed_scope = scope

    async def __call__(
        self,
        request: Request,
        _by_bearer: Annotated[object, Security(_bearer)] = None,
        _by_header: Annotated[object, Security(_header)] = None,
    ) -> Caller:
        """Return who asks; raises ProblemError."""
        caller = exchange_of(request.scope).caller
        problem = missing_scope(caller, self.needed_scope)
        if problem is not None:
            raise ProblemError(problem)
        return caller


READ: Final = Depends(Needs(KeyScope.read))
WRITE: Final = Depends(Needs(KeyScope.write))
ADMIN: Final = Depends(Needs(KeyScope.admin))
Reader = Annotated[Caller, READ]
Writer = Annotated[Caller, WRITE]
Admin = Annotated[Caller, ADMIN]


def missing_scope(caller: Caller, needed: KeyScope) -> Problem | None:
    """Return what to answer *caller*, who wants what only *needed* allows, or None when that may be done."""
    if caller.scope is not None and caller.scope >= needed:
        return None
    if caller.key is None:
        return _unauthorized(f"this needs an API key of scope {needed.name}; {_HOW}", needed)
    return Problem(
        status=403,
        code="forbidden",
        detail=f"the key {caller.name} has the scope {caller.key.scope.name}; this needs {needed.name}",
        given=caller.key.scope.name,
        expected=needed.name,
    )


def _unauthorized(detail: str, needed: KeyScope) -> Problem:
    return Problem(
        status=401,
        code="unauthorized",
        detail=detail,
        expected=f"an API key of scope {needed.name}",
        headers={"WWW-Authenticate": 'Bearer realm="media-gateway"'},
    )


class KeyGate:
    """Finds out who asks, and refuses who may not (401, 403) or asks too often (429), before any body is read.

    With *reads_are_open* nobody needs a key to read: the service listens on the loopback interface.
    """

    def __init__(self, app: ASGIApp, *, keys: KeyRing, limits: RateLimits, rate: float, reads_are_open: bool) -> None:
        self._app = app
        self._keys = keys
        self._limits = limits
        self._rate = rate
        self._anybody = Caller(scope=KeyScope.read if reads_are_open else None)
        self._told = -math.inf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or exchange_of(scope).route.is_open:
            await self._app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        try:
            problem = self._problem(exchange, scope)
        except KeysFileError as error:
            problem = self._unusable(error)
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _problem(self, exchange: Exchange, scope: Scope) -> Problem | None:
        needed = exchange.route.needs
        given = _keys_given(scope)
        if len(given) > 1:
            return _unauthorized("the request brings more than one API key; send one", needed)
        exchange.caller = self._anybody
        for text in given:
            key = self._keys.find(text)
            if key is None:
                return _unauthorized(f"the API key is unknown, revoked or expired; {_HOW}", needed)
            exchange.caller = Caller(key=key, scope=key.scope)
        return missing_scope(exchange.caller, needed) or self._too_often(exchange.caller)

    def _too_often(self, caller: Caller) -> Problem | None:
        key = caller.key
        if key is None:
            return None
        rate = self._rate if key.rate is None else key.rate
        wait = self._limits.take(key.key_id, rate)
        if wait == 0:
            return None
        return Problem(
            status=429,
            code="too-many-requests",
            detail=f"the key {key.name} may make {rate:g} requests a second; wait for {math.ceil(wait)} s",
            expected=f"{rate:g} requests a second",
            headers={"Retry-After": str(math.ceil(wait))},
        )

    def _unusable(self, error: KeysFileError) -> Problem:
        now = time.monotonic()
        if now - self._told > _NOT_TOLD_AGAIN:
            self._told = now
            _log.error("%s", error)
        return Problem(
            status=503,
            code="keys-unusable",
            detail="the service cannot read its file of API keys, so it lets nobody in; its log says why",
            headers={"Retry-After": "5"},
        )


def _keys_given(scope: Scope) -> set[str]:
    """Return the different keys that a request brings; another way to authenticate counts as a key that is unknown."""
    found: set[str] = set()
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            found.add(value.decode("latin-1").strip())
        elif name == b"authorization":
            text = value.decode("latin-1").strip()
            found.add(text[len(_BEARER) :].strip() if text.lower().startswith(_BEARER) else "")
    return found
