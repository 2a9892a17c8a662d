"""What a build of an index may take of its server, and what it takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from media_gateway.database.pool import set_config
from media_gateway.database.server.config import Machine
from media_gateway.errors import StoreFullError
from media_gateway.stores.postgres.indexes.estimate import IndexEstimate

_MOST_MEMORY: Final = 0.5
"""Share of the machine's memory that one build takes at most; the rest keeps what searches read."""
_LARGEST_MEMORY: Final = 2_000 * 2**30
"""What PostgreSQL takes for maintenance_work_mem at most, 2 TiB less a little."""
_DISK_RESERVE: Final = 1.2
_MEMORY_RESERVE: Final = 1.2
"""What a build is given more than it is reckoned to need: rows are estimated, and written meanwhile."""
_LEAST_MEMORY: Final = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class BuildResources:
    """What is known of the server's machine; None is what nobody knows.

    *memory* are the machine's bytes, *cores* its cores, *disk_room* the bytes free for the index, and *shared_memory*
    the size of its /dev/shm. *maintenance* is what an operator allows a build in place of what is worked out.
    """

    memory: int | None = None
    cores: int | None = None
    disk_room: int | None = None
    shared_memory: int | None = None
    maintenance: int | None = None


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """What a build is given: *maintenance* bytes of memory, *workers* beside the leader, None for the server's own."""

    estimate: IndexEstimate
    maintenance: int
    workers: int | None

    @property
    def fits_memory(self) -> bool:
        """Whether the graph fits; where not, the build goes on on disk, many times slower."""
        return self.estimate.memory_bytes <= self.maintenance


def local_resources(folder: Path, *, maintenance: int | None = None) -> BuildResources:
    """Return what is known of this machine, whose server keeps its data in *folder*, which may be still to come."""
    machine = Machine.here(next(place for place in (folder, *folder.absolute().parents) if place.is_dir()))
    return BuildResources(
        memory=machine.memory,
        cores=machine.cores,
        disk_room=machine.disk_room,
        shared_memory=machine.shared_memory_room,
        maintenance=maintenance,
    )


async def planned_build(
    connection: AsyncConnection[Any], estimate: IndexEstimate, resources: BuildResources
) -> BuildPlan:
    """Return what the build of *estimate* is given on *connection*'s server.

    It gets what the graph needs, no more, since a parallel build sets all of it aside: up to half of the machine's
    memory where that is known, else up to the server's own maintenance_work_mem. Raises StoreFullError when the disk
    cannot hold the index.
    """
    _check_disk(estimate, resources.disk_room)
    cursor = await connection.execute(
        "SELECT pg_size_bytes(current_setting('maintenance_work_mem')), current_setting('dynamic_shared_memory_type')"
    )
    row = await cursor.fetchone()
    own, shared_by = row if row is not None else (0, "")
    allowed = resources.maintenance
    if allowed is None:
        allowed = own if resources.memory is None else int(resources.memory * _MOST_MEMORY)
    needed = max(_LEAST_MEMORY, int(estimate.memory_bytes * _MEMORY_RESERVE))
    maintenance = min(needed, allowed, _LARGEST_MEMORY)
    workers = None if resources.cores is None else max(0, resources.cores - 1)
    room = resources.shared_memory if shared_by == "posix" else None
    if room is not None and room < maintenance:
        workers = 0
    return BuildPlan(estimate=estimate, maintenance=maintenance, workers=workers)


async def apply_plan(connection: AsyncConnection[Any], plan: BuildPlan) -> None:
    """Give *connection*'s session what *plan* says."""
    settings = {"maintenance_work_mem": f"{plan.maintenance >> 10}kB", "statement_timeout": "0", "lock_timeout": "0"}
    if plan.workers is not None:
        settings["max_parallel_maintenance_workers"] = str(plan.workers)
    await connection.execute(*set_config(settings, is_local=False))


def lacks_shared_memory(error: psycopg.Error) -> bool:
    """Whether a build failed since its processes found no room for the graph that they share."""
    is_short = isinstance(error, psycopg.errors.DiskFull | psycopg.errors.OutOfMemory)
    return is_short and "shared memory" in str(error)


WITHOUT_WORKERS: Final = "SET max_parallel_maintenance_workers = 0"
"""Has a build done by one process, which needs no shared memory."""


def _check_disk(estimate: IndexEstimate, room: int | None) -> None:
    needed = int(estimate.disk_bytes * _DISK_RESERVE)
    if room is not None and room < needed:
        raise StoreFullError(
            f"the index over {estimate.rows:,} rows takes {estimate.disk_bytes / 2**30:.1f} GiB of disk, with "
            f"some to spare {needed / 2**30:.1f}, and {room / 2**30:.1f} are free; make room, or build a smaller one "
            "(--kind halfvec)"
        )
