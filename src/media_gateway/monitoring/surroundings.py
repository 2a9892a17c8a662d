"""What is read from the machine: volumes."""

import shutil
from collections.abc import Mapping
from pathlib import Path

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
