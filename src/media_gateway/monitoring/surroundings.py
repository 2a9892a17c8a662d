"""What is read from the machine: volumes, and whether a server is on it."""

import ipaddress
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from media_gateway.monitoring.families import Reading


def disk_reading(volumes: Mapping[str, Path]) -> Reading:
    """Return size and free space of *volumes*, by the folders on them; folders that are not there yet count as their parents."""
    free: dict[tuple[str, ...], float] = {}
    size: dict[tuple[str, ...], float] = {}
    for name, folder in volumes.items():
        usage = shutil.disk_usage(_existing(folder.absolute()))
        free[name,], size[name,] = float(usage.free), float(usage.total)
    return {"disk_free_bytes": free, "disk_size_bytes": size}


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def is_local(conninfo: Mapping[str, Any]) -> bool:
    """Whether *conninfo* means this machine: a Unix socket or a loopback address."""
    host = str(conninfo.get("hostaddr") or conninfo.get("host") or "localhost")
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def folder_here(name: str) -> Path | None:
    """Return the folder that a server on this machine calls *name*, None where this process sees none.

    A server in a container has a folder of that name somewhere else.
    """
    folder = Path(name)
    try:
        return folder if folder.is_dir() else None
    except OSError:
        return None
