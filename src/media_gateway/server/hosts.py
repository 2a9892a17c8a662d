"""By which names the service may be asked.

A page in somebody's browser can make its own name lead to 127.0.0.1 and ask a service there (DNS rebinding); its name
still stands in the Host header.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from media_gateway.errors import shown
from media_gateway.server.exchange import exchange_of
from media_gateway.server.problems import Problem

_ALWAYS: Final = ("localhost", "127.0.0.1", "[::1]")
_ANY: Final = "*"


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a service that listens on *host*."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class AllowedHosts:
    """The names in *listed*, parted by commas, beside those of the loopback interface and *host*, which is listened on."""

    def __init__(self, listed: str, *, host: str) -> None:
        bound = f"[{host}]" if ":" in host else host
        given = {name.strip().lower() for name in listed.split(",")}
        self._names = frozenset({*_ALWAYS, bound.lower(), *given} - {""})

    def __contains__(self, header: str) -> bool:
        """Return whether the Host *header*, a name with or without a port, is one of them."""
        if _ANY in self._names:
            return True
        name, colon, port = header.lower().rpartition(":")
        if not colon or not port.isdigit():
            name = header.lower()
        return name.removesuffix(".") in self._names


class HostGate:
    """Refuses requests for other names: 421, and 400 without exactly one Host header."""

    def __init__(self, app: ASGIApp, *, allowed: AllowedHosts) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or exchange_of(scope).route.is_probe:
            await self._app(scope, receive, send)
            return
        problem = self._problem(scope["headers"])
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _problem(self, headers: Iterable[Sequence[bytes]]) -> Problem | None:
        given = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(given) != 1 or not given[0]:
            return Problem(
                status=400, code="bad-host", detail=f"the request has {len(given)} Host headers that name one; give one"
            )
        if given[0] in self._allowed:
            return None
        return Problem(
            status=421,
            code="wrong-host",
            detail=f"the service is not known as {shown(given[0])}; ask it by a name that RUVECTOR_HTTP_ALLOWED_HOSTS lists",
            given=given[0],
            expected="localhost, the service's address, or a name in RUVECTOR_HTTP_ALLOWED_HOSTS",
        )
