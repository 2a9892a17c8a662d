"""The gates before the routes, in their order: who is let in, and how much of it at a time."""

from starlette.middleware import Middleware

from media_gateway.errors import SettingsError
from media_gateway.server.admission import Admission
from media_gateway.server.auth import KeyGate
from media_gateway.server.bodies import BodyGate
from media_gateway.server.hosts import AllowedHosts, HostGate, is_loopback
from media_gateway.server.http_metrics import HttpMetrics
from media_gateway.server.keys import KeyRing
from media_gateway.server.rates import RateLimits
from media_gateway.server.reception import Reception
from media_gateway.server.work import WorkGate
from media_gateway.settings import Settings


def gates(settings: Settings, *, counts: HttpMetrics) -> list[Middleware]:
    """Return the gates of a service that listens as *settings* say, the outermost first.

    What is cheap to refuse is refused first: a wrong name, a missing key, too many requests of one key, a body that is
    too large. Only a request that has come whole takes up room among those that are worked on.
    """
    admission = Admission(
        most_at_once=settings.http_max_in_flight,
        most_waiting=settings.http_max_queued,
        seconds=settings.http_queue_seconds,
    )
    return [
        Middleware(Reception, counts=counts),
        Middleware(HostGate, allowed=AllowedHosts(settings.http_allowed_hosts or "", host=settings.http_host)),
        Middleware(
            KeyGate,
            keys=KeyRing(settings.keys_path),
            limits=RateLimits(burst=settings.http_rate_burst),
            rate=settings.http_rate_limit,
            reads_are_open=is_loopback(settings.http_host),
        ),
        Middleware(
            BodyGate, most_bytes=settings.http_max_body_bytes, seconds=settings.http_body_seconds, counts=counts
        ),
        Middleware(WorkGate, admission=admission, seconds=settings.http_request_seconds, counts=counts),
    ]


def check_listening(settings: Settings) -> None:
    """Raise SettingsError when the service would listen where others can reach it and there is no valid key yet.

    Raises KeysFileError when the file of keys cannot be used.
    """
    host = settings.http_host
    if is_loopback(host) or KeyRing(settings.keys_path).valid():
        return
    raise SettingsError(
        f"RUVECTOR_HTTP_HOST is {host}, where others can reach the service, and {settings.keys_path} holds no valid API key; "
        "make one with media-gateway keys create NAME --scope read, or listen on 127.0.0.1",
        field="http_host",
        given=host,
        expected="127.0.0.1, or an API key",
    )
