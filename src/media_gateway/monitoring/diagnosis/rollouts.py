"""A rollout: whether its guard turned reads back."""

from typing import Final

from media_gateway.monitoring.diagnosis.findings import Finding, Kind
from media_gateway.monitoring.diagnosis.parts import RolloutSeen

TRIPPED: Final = Kind(
    code="rollout_tripped",
    severity="warning",
    matters="PostgreSQL answered too late, too differently or not at all; everybody reads from memory until somebody decides",
)
KINDS: Final = (TRIPPED,)


def judged(seen: RolloutSeen | None) -> list[Finding]:
    """Return whether the guard tripped."""
    if seen is None or not seen.is_tripped:
        return []
    return [
        TRIPPED.found(
            f"the rollout is {seen.text} since {seen.at:%Y-%m-%d %H:%M}: {seen.why}",
            "media-gateway rollout status; when the cause is mended: media-gateway rollout set canary 5",
        )
    ]
