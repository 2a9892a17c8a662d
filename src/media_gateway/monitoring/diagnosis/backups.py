"""The newest backup: whether there is one, how old it is, and whether its file is there as its manifest says."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from media_gateway.errors import BackupError
from media_gateway.monitoring.diagnosis.findings import Finding, Kind, in_time
from media_gateway.monitoring.diagnosis.limits import Limits
from media_gateway.monitoring.diagnosis.parts import BackupSeen, DiagnosisParts

_LOST: Final = "should the data be lost, so is everything that was written since"
MISSING: Final = Kind(
    code="backup_missing",
    severity="warning",
    matters="should the data be lost, nothing brings it back: make one now, and one every day by cron",
)
OLD: Final = Kind(code="backup_old", severity="warning", matters=_LOST)
DAMAGED: Final = Kind(
    code="backup_damaged", severity="error", matters="it cannot be restored, and older ones hold less"
)
KINDS: Final = (MISSING, OLD, DAMAGED)


async def examine(
    parts: DiagnosisParts, folder: Path, limits: Limits, *, backend: str, has_records: bool
) -> tuple[list[Finding], BackupSeen | None]:
    """Return what is wrong with the newest backup in *folder*, and that backup where it can be restored.

    Of a collection that *has_records* there must be one.
    """
    try:
        newest = await parts.newest_backup()
    except BackupError as error:
        return [DAMAGED.found(str(error), f"media-gateway backup --backend {backend}", subject=error.path)], None
    found = judged(newest, folder, limits, now=datetime.now(UTC), backend=backend, has_records=has_records)
    return found, None if any(finding.severity == "error" for finding in found) else newest


def judged(
    newest: BackupSeen | None, folder: Path, limits: Limits, *, now: datetime, backend: str, has_records: bool
) -> list[Finding]:
    """Return what is wrong with the *newest* backup by the time *now*."""
    command = f"media-gateway backup --backend {backend}"
    if newest is None:
        return [MISSING.found(f"there is no backup in {folder}", command)] if has_records else []
    if newest.found_bytes != newest.expected_bytes:
        size = "is gone" if newest.found_bytes is None else f"has {newest.found_bytes:,} bytes"
        seen = f"the newest backup {newest.path} {size}, and its manifest says {newest.expected_bytes:,} bytes"
        return [DAMAGED.found(seen, command, subject=str(newest.path))]
    age = (now - newest.made_at).total_seconds()
    if age > limits.backup_seconds and has_records:
        seen = f"the newest backup {newest.path} is {in_time(age)} old"
        return [OLD.found(seen, command, subject=str(newest.path))]
    return []
