"""The disks that data, backups and, where it is visible, the database lie on."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from media_gateway.monitoring.diagnosis.findings import Finding, Kind, in_bytes
from media_gateway.monitoring.diagnosis.limits import Limits

_FULL_STOPS: Final = "a full disk refuses every write, and PostgreSQL may stop altogether"
FULL: Final = Kind(code="disk_full", severity="error", matters=_FULL_STOPS)
NEARLY: Final = Kind(code="disk_nearly_full", severity="warning", matters=_FULL_STOPS)
UNWRITABLE: Final = Kind(code="folder_not_writable", severity="error", matters="what is to be written there is refused")
KINDS: Final = (FULL, NEARLY, UNWRITABLE)


def examine(folders: Mapping[str, Path], limits: Limits, *, database: Path | None = None) -> list[Finding]:
    """Return which of *folders*, by what they hold, cannot be written, and which disks have too little room.

    A folder that is still to come counts as the one that it will be made in; several on one disk are told of once. The
    folder of the *database* is the server's to write, so only its disk is looked at.
    """
    found = [finding for purpose, folder in folders.items() for finding in _unwritable(purpose, _existing(folder))]
    places = [(purpose, _existing(folder)) for purpose, folder in folders.items()]
    if database is not None:
        places.append(("the database", _existing(database)))
    by_disk: dict[int, list[tuple[str, Path]]] = {}
    for purpose, place in places:
        by_disk.setdefault(place.stat().st_dev, []).append((purpose, place))
    for there in by_disk.values():
        place = there[0][1]
        usage = shutil.disk_usage(place)
        purposes = [purpose for purpose, _ in there]
        found += judged(place, purposes, free=usage.free, total=usage.total, limits=limits)
    return found


def _unwritable(purpose: str, place: Path) -> list[Finding]:
    if not place.is_dir():
        seen, command = (
            f"{place}, where {purpose} should lie, is a file",
            "remove it, or set RUVECTOR_..._PATH to a folder",
        )
    elif not os.access(place, os.W_OK | os.X_OK):
        seen = f"{place}, where {purpose} should lie, cannot be written by this user"
        command = f"run as its owner, or: chown {os.geteuid()} '{place}'; a disk that is read-only: mount it anew"
    else:
        return []
    return [UNWRITABLE.found(seen, command, subject=str(place))]


def judged(place: Path, purposes: Sequence[str], *, free: int, total: int, limits: Limits) -> list[Finding]:
    """Return whether the disk of *place* has too little room: *free* of *total* bytes."""
    seen = (
        f"{in_bytes(free)} of {in_bytes(total)} are free on the disk of {place}, which holds {' and '.join(purposes)}"
    )
    command = f"du -xsh '{place}'/* | sort -h; remove what is not needed, such as old backups, or enlarge the disk"
    if free < limits.disk_full_bytes:
        return [FULL.found(seen, command, subject=str(place))]
    if free < limits.disk_share * total and free < limits.disk_bytes:
        return [NEARLY.found(seen, command, subject=str(place))]
    return []


def _existing(folder: Path) -> Path:
    """Return *folder*, or the nearest one above it that exists; something that is no folder is returned too."""
    absolute = folder.expanduser().absolute()
    return next(place for place in (absolute, *absolute.parents) if _exists(place))


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:
        return False
