"""The server's memory: whether the index fits, and whether the next build of it does."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final, LiteralString

from media_gateway.monitoring.diagnosis.findings import Finding, Kind, in_bytes
from media_gateway.monitoring.diagnosis.limits import Limits
from media_gateway.monitoring.diagnosis.parts import CollectionFacts
from media_gateway.monitoring.diagnosis.view import ServerView

BUFFERS: Final = Kind(
    code="shared_buffers_small",
    severity="warning",
    matters="searches fetch pages from outside of it all the time, from the system's cache at best",
)
BUILD_MEMORY: Final = Kind(
    code="maintenance_memory_small",
    severity="warning",
    matters="the next build of the index outgrows it and goes on on the disk, many times slower",
)
SHARED_MEMORY: Final = Kind(
    code="shared_memory_small",
    severity="warning",
    matters="the next build of the index finds no room for several processes and is done by one, more slowly",
)
KINDS: Final = (BUFFERS, BUILD_MEMORY, SHARED_MEMORY)

_SHM: Final = Path("/dev/shm")  # noqa: S108  only its size is asked for
_SPARE: Final = 1.25
_SQL: Final[LiteralString] = """
SELECT pg_size_bytes(current_setting('shared_buffers')),
    current_setting('max_parallel_maintenance_workers')::int, current_setting('dynamic_shared_memory_type')
"""


@dataclass(frozen=True, kw_only=True)
class MemoryReading:
    """Bytes of memory for pages, and, where /dev/shm is the server's and builds use it, of the room there."""

    buffers: int
    shared_room: int | None


async def examine(view: ServerView, facts: CollectionFacts) -> list[Finding]:
    """Return what the collection outgrows."""
    buffers, workers, shared_by = await view.row(_SQL)
    is_here = view.settings.is_embedded or await view.data_folder() is not None
    room = shutil.disk_usage(_SHM).total if is_here and shared_by == "posix" and workers and _SHM.is_dir() else None
    reading = MemoryReading(buffers=buffers, shared_room=room)
    return judged(reading, facts, limits=view.limits, is_embedded=view.settings.is_embedded)


def judged(reading: MemoryReading, facts: CollectionFacts, *, limits: Limits, is_embedded: bool) -> list[Finding]:
    """Return what of *reading* is too small for the collection of *facts*."""
    found: list[Finding] = []
    index = facts.serving
    if index is not None and index.bytes > limits.buffer_share * reading.buffers:
        found.append(
            BUFFERS.found(
                f"{index.name} takes {in_bytes(index.bytes)}, and shared_buffers is {in_bytes(reading.buffers)}",
                _setting("shared_buffers", index.bytes / limits.buffer_share, is_embedded=is_embedded)
                + ", or a halfvec index of half the size",
                subject=index.name,
            )
        )
    given = facts.given_bytes
    if facts.graph_bytes > given:
        wanted = _megabytes(facts.graph_bytes * _SPARE)
        found.append(
            BUILD_MEMORY.found(
                f"building the index over {facts.rows:,} records takes {in_bytes(facts.graph_bytes)}, and a build gets "
                f"{in_bytes(given)}",
                f"media-gateway index rebuild --maintenance-memory {wanted}MB --backend postgres, or: "
                f"{_setting('maintenance_work_mem', facts.graph_bytes * _SPARE, is_embedded=is_embedded)}",
            )
        )
    needed = min(facts.graph_bytes, given)
    if reading.shared_room is not None and reading.shared_room < needed:
        found.append(
            SHARED_MEMORY.found(
                f"{_SHM} has {in_bytes(reading.shared_room)}, and a build shares {in_bytes(needed)} among its processes",
                f"mount -o remount,size={_megabytes(needed * _SPARE)}m {_SHM}; in a container: "
                f"shm_size: {_megabytes(needed * _SPARE)}mb",
            )
        )
    return found


def _setting(name: str, value: float, *, is_embedded: bool) -> str:
    size = f"{_megabytes(value)}MB"
    if is_embedded:
        return f"{name} = '{size}' in operator.conf, then media-gateway db stop; media-gateway db start"
    restart = ", then start the server anew" if name == "shared_buffers" else "; SELECT pg_reload_conf()"
    return f"ALTER SYSTEM SET {name} = '{size}'{restart}"


def _megabytes(value: float) -> int:
    return max(1, -(-int(value) // 2**20))
