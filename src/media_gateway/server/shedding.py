"""The answer to a request that there is no room for now."""

from typing import Final

from media_gateway.server.admission import ShedReason
from media_gateway.server.http_metrics import HttpMetrics
from media_gateway.server.problems import Problem

RETRY_SECONDS: Final = 1
"""What Retry-After says: the queue is worked off within about that."""

_WHY: Final[dict[ShedReason, str]] = {
    "queue-full": "as many requests as may wait are waiting already",
    "queue-timeout": "the request waited for its turn as long as it may",
    "bodies": "the bodies of other requests take up the room for them",
    "connections": "as many connections as may be are open already",
}


def shed(reason: ShedReason, counts: HttpMetrics) -> Problem:
    """Count a request that is turned away, and return what to answer."""
    counts.count_shed(reason)
    return Problem(
        status=503,
        code="overloaded",
        detail=f"the service is overloaded: {_WHY[reason]}; nothing was done, ask again in {RETRY_SECONDS} s",
        given=reason,
        headers={"Retry-After": str(RETRY_SECONDS)},
    )
