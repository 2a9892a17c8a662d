"""A rollout: whether its guard turned reads back, and whether the process that serves takes part in it."""

from typing import Final

from media_gateway.monitoring.diagnosis.findings import Finding, Kind
from media_gateway.monitoring.diagnosis.parts import RolloutSeen

TRIPPED: Final = Kind(
    code="rollout_tripped",
    severity="warning",
    matters="PostgreSQL answered too late, too differently or not at all; everybody reads from memory until somebody decides",
)
UNFOLLOWED: Final = Kind(
    code="rollout_unfollowed",
    severity="warning",
    matters="a state is recorded, but what it asks for is not done: nobody is answered by the store that it names",
)
KINDS: Final = (TRIPPED, UNFOLLOWED)


def judged(seen: RolloutSeen | None) -> list[Finding]:
    """Return whether the guard tripped, and whether a state is recorded that is not followed."""
    if seen is None:
        return []
    found: list[Finding] = []
    since = f"the rollout is {seen.text} since {seen.at:%Y-%m-%d %H:%M}"
    if seen.is_tripped:
        found.append(
            TRIPPED.found(
                f"{since}: {seen.why}",
                "media-gateway rollout status; when the cause is mended: media-gateway rollout set canary 5",
            )
        )
    if seen.unfollowed is not None and seen.has_memory:
        found.append(
            UNFOLLOWED.found(
                f"{since}; {seen.unfollowed}",
                "media-gateway rollout status; then start that process anew with RUVECTOR_BACKEND=postgres, or turn back "
                "with media-gateway rollback",
            )
        )
    return found
