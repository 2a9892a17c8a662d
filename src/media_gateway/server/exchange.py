"""A request and its answer as the gates pass it on: its id, its route, and who asks."""

from dataclasses import dataclass, field
from typing import Final, Self

from starlette.types import Scope

from media_gateway.server.keys import ApiKey
from media_gateway.server.keys import Scope as KeyScope
from media_gateway.server.route_table import UNKNOWN, RouteFacts

_KEY: Final = "media_gateway.exchange"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks: a key, or nobody in particular, who may do what *scope* allows; None is nothing."""

    key: ApiKey | None = None
    scope: KeyScope | None = None

    @property
    def name(self) -> str | None:
        """The name of the key, None without one."""
        return self.key.name if self.key else None


@dataclass(kw_only=True)
class Exchange:
    """What the gates know of one request."""

    request_id: str
    route: RouteFacts = UNKNOWN
    caller: Caller = field(default_factory=Caller)
    status: int | None = None
    """The status of the answer, once it began."""
    code: str | None = None
    """The code of the problem, where the store or another part that is needed failed."""

    def attach(self, scope: Scope) -> Self:
        """Make this what `exchange_of` gives for *scope*."""
        scope[_KEY] = self
        return self


def exchange_of(scope: Scope) -> Exchange:
    """Return what the gates know of the request in *scope*."""
    found: Exchange = scope[_KEY]
    return found
