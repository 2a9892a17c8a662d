"""What machine and which versions a result comes from."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

_PACKAGES: Final = (
    "media-gateway",
    "numpy",
    "psycopg",
    "usearch",
    "langchain-postgres",
    "vecs",
    "sqlalchemy",
    "asyncpg",
    "psycopg2-binary",
)


def machine_facts() -> dict[str, Any]:
    """Return processor, cores, bytes of memory and system of this machine."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory_bytes(),
        "system": f"{platform.system()} {platform.release()}",
    }


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are measured, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def memory_bytes() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def memory_of_processes(root: int) -> int | None:
    """Return the bytes that the process *root* and those that it started hold, shared pages counted once.

    That is the sum of their proportional set sizes and the huge pages that they share, which are in no set size (proc(5),
    smaps_rollup); None where the system does not tell.
    """
    try:
        parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
        family = {root} | {pid for pid, parent in parents.items() if parent == root}
        maps = [_memory_map(pid) for pid in family]
        own = sum(found.get("Pss", 0) for found in maps)
        return own + max(found.get("Shared_Hugetlb", 0) for found in maps) or None
    except OSError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _parent(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it ended meanwhile
        return None


def _memory_map(pid: int) -> dict[str, int]:
    """Return the bytes of a process's memory by their kind."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}
