"""Settings of the embedded PostgreSQL for the machine at hand."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MB = 2**20
_GB = 2**30
_CONNECTIONS = 200


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the settings depend on: bytes of memory and of room for files, the cores that may be used."""

    memory: int
    cores: int
    shared_memory_room: int
    kernel_segment_limit: int
    disk_room: int

    @classmethod
    def here(cls, folder: Path) -> "Machine":
        """Return this machine as the process sees it, limits of its control group included; *folder* holds the data."""
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        shared = Path("/dev/shm")  # noqa: S108  only its size is asked for
        return cls(
            memory=min([physical, *_group_limits()]),
            cores=max(1, min(len(os.sched_getaffinity(0)), _group_cores())),
            shared_memory_room=shutil.disk_usage(shared).total if shared.is_dir() else 0,
            kernel_segment_limit=_number(Path("/proc/sys/kernel/shmmax")) or 0,
            disk_room=shutil.disk_usage(folder).free,
        )


def settings(machine: Machine) -> dict[str, str]:
    """Return the server's settings for *machine*.

    Shares of memory follow the PostgreSQL manual (19.4 Resource Consumption: a quarter for shared buffers);
    maintenance_work_mem has to hold the graph of an HNSW index while it is built (README of pgvector, "Index Build
    Time"), or the build becomes many times slower. The values can be overridden in operator.conf.
    """
    maintenance = _within(machine.memory // 8, 64 * _MB, 4 * _GB)
    workers = max(1, machine.cores - 1)
    wal = _within(machine.disk_room // 8, 256 * _MB, 4 * _GB)
    return {
        "shared_buffers": _size(_within(machine.memory // 4, 32 * _MB, 8 * _GB)),
        "effective_cache_size": _size(max(machine.memory * 3 // 4, 64 * _MB)),
        "maintenance_work_mem": _size(maintenance),
        "autovacuum_work_mem": _size(min(maintenance, 512 * _MB)),
        "work_mem": _size(_within(machine.memory // 512, 4 * _MB, 64 * _MB)),
        "huge_pages": "try",
        "dynamic_shared_memory_type": _dynamic_memory(machine, maintenance),
        "max_connections": str(_CONNECTIONS),
        "max_worker_processes": str(max(8, 2 * machine.cores)),
        "max_parallel_workers": str(max(2, machine.cores)),
        "max_parallel_workers_per_gather": str(min(4, workers)),
        "max_parallel_maintenance_workers": str(min(8, workers)),
        "shared_preload_libraries": "pg_stat_statements",
        "random_page_cost": "1.1",
        "jit": "off",
        **_durability(wal),
        **_speech(),
    }


def _durability(wal: int) -> dict[str, str]:
    # wal_level minimal: a COPY into a table made in the same transaction and the building of an index skip the log
    # (measured 72,000 rows/s against 16,000). Nothing streams from this server; backups are made by pg_dump.
    return {
        "fsync": "on",
        "synchronous_commit": "on",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "wal_compression": "on",
        "max_wal_size": _size(wal),
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
    }


def _speech() -> dict[str, str]:
    # Statements carry whole vectors, and the log is one file: what a client did wrong is told to the client.
    return {
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "logging_collector": "off",
        "log_destination": "stderr",
        "log_line_prefix": "%m [%p] ",
        "log_min_error_statement": "panic",
        "log_min_duration_statement": "2s",
        "log_parameter_max_length": "128",
        "log_lock_waits": "on",
    }


def text(values: dict[str, str]) -> str:
    """Return *values* as the text of a configuration file."""
    quoted = {name: value.replace("'", "''") for name, value in values.items()}
    lines = [f"{name} = '{value}'" for name, value in quoted.items()]
    head = "# Written anew by media-gateway at each start; put settings of your own into operator.conf, which wins."
    return "\n".join([head, *lines, ""])


OPERATOR_TEXT = "# Settings of your own, read after media_gateway.conf; they hold from the next start of the server.\n"

INCLUDES = """
# media-gateway: settings for this machine, then the operator's own.
include_if_exists '../media_gateway.conf'
include_if_exists '../operator.conf'
"""


def _dynamic_memory(machine: Machine, maintenance: int) -> str:
    # A parallel build of an HNSW index keeps its graph there, as large as maintenance_work_mem; containers
    # commonly give /dev/shm 64 MB.
    needed = maintenance + 64 * _MB
    if machine.shared_memory_room >= needed:
        return "posix"
    return "sysv" if machine.kernel_segment_limit >= needed else "mmap"


def _within(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))


def _size(value: int) -> str:
    return f"{value // _MB}MB"


def _group_limits() -> Iterator[int]:
    """Yield the memory limits of the control groups, version 2 or 1, that this process is in."""
    for folder in _group_folders("memory"):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            limit = _number(folder / name)
            if limit:
                yield limit


def _group_cores() -> int:
    """Return how many cores the quota of the control groups amounts to, rounded up."""
    least = 2**31
    for folder in _group_folders("cpu"):
        quota, period = _words(folder / "cpu.max"), _number(folder / "cpu.cfs_period_us")
        if len(quota) == 2 and all(word.isdigit() for word in quota):  # noqa: PLR2004  quota and period
            least = min(least, -(-int(quota[0]) // int(quota[1])))
        elif period and (limit := _number(folder / "cpu.cfs_quota_us")):
            least = min(least, -(-limit // period))
    return least


def _group_folders(controller: str) -> Iterator[Path]:
    """Yield the folders of *controller* from this process's group up to the root that is visible here."""
    root = Path("/sys/fs/cgroup")
    try:
        entries = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for entry in entries:
        _, controllers, group = entry.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controllers if controllers else root
        path = top / group.lstrip("/")
        # In a container the group's name is often that of the host, and only the root exists here.
        yield from (part for part in [path, *path.parents] if part == top or top in part.parents)


def _number(path: Path) -> int | None:
    words = _words(path)
    return int(words[0]) if len(words) == 1 and words[0].isdigit() else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
