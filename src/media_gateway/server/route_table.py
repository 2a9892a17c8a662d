"""The routes of the application as the gates see them: their names, and the scope that each needs.

FastAPI reads a body before it looks at who sent it. So the gates look the route up themselves, and nothing of a
request is read whose caller may not make it. The route checks again: what is wrong here lets nobody in there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette
from starlette.types import Scope

from media_gateway.server.keys import Scope as KeyScope

_PROBES: Final = ("/health/live", "/health/ready")
OBSERVATIONS: Final = frozenset({*_PROBES, "/metrics"})
"""Paths of the routes that tell how the service is."""
CONSOLE: Final = "/"
CONSOLE_FILES: Final = "/console/{name:path}"


@dataclass(frozen=True, kw_only=True)
class RouteFacts:
    """One route: its path with the names of what is filled in, and what it needs."""

    name: str
    needs: KeyScope
    is_probe: bool = False
    """Whether whoever looks after the process asks here, and must be answered whatever goes on."""

    @property
    def is_open(self) -> bool:
        """Whether anybody may ask without a key: for how the process is, and for the page that keys are typed into."""
        return self.is_probe or self.name in {CONSOLE, CONSOLE_FILES}

    @property
    def is_observation(self) -> bool:
        """Whether the route tells how the service is, and never waits for those that use it."""
        return self.name in OBSERVATIONS


UNKNOWN: Final = RouteFacts(name="-", needs=KeyScope.read)
"""An address that leads nowhere: whoever may not read is not told even that."""


class RouteTable:
    """The routes of *app* in their order, made once."""

    def __init__(self, app: Starlette) -> None:
        self._routes = [
            (context.path_regex, context.methods, _facts(context))
            for context in iter_route_contexts(app.routes)
            if isinstance(getattr(context, "path_regex", None), re.Pattern)
        ]

    def find(self, scope: Scope) -> RouteFacts:
        """Return the route that answers *scope*; UNKNOWN for none, and for a method that its path does not know."""
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        for pattern, methods, facts in self._routes:
            if pattern.match(path) and (not methods or scope["method"] in methods):
                return facts
        return UNKNOWN

    def methods(self, path: str) -> list[str]:
        """Return the methods that *path* is answered for."""
        return sorted(
            {method for pattern, methods, _ in self._routes if pattern.match(path) for method in methods or ()}
        )


def _facts(context: Any) -> RouteFacts:
    name: str = context.path
    dependant: Dependant | None = getattr(context, "dependant", None)
    found = list(_needs(dependant)) if dependant is not None else []
    methods: set[str] = context.methods or set()
    # A route that says nothing is one of FastAPI's own, which only read.
    undeclared = KeyScope.read if methods <= {"GET", "HEAD"} else KeyScope.admin
    return RouteFacts(name=name, needs=max(found, default=undeclared), is_probe=name in _PROBES)


def _needs(dependant: Dependant) -> Iterator[KeyScope]:
    for part in dependant.dependencies:
        scope = getattr(part.call, "needed_scope", None)
        if isinstance(scope, KeyScope):
            yield scope
        yield from _needs(part)
