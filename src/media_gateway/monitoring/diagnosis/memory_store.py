"""The memory backend: its files, whose hands they are in, and whether they are sound."""

import os
from typing import Final

from media_gateway.errors import SnapshotDamagedError, StoreError
from media_gateway.monitoring.diagnosis.findings import RESTORE, Finding, Kind, in_bytes
from media_gateway.monitoring.diagnosis.limits import Limits
from media_gateway.monitoring.diagnosis.parts import DiagnosisParts, MemoryFiles
from media_gateway.monitoring.diagnosis.space import judged_settings

MISSING: Final = Kind(
    code="memory_missing",
    severity="info",
    matters="nothing was loaded yet, or the command runs in another folder than the one that was loaded in",
)
DAMAGED: Final = Kind(
    code="memory_damaged", severity="error", matters="the store refuses to open a file it cannot trust"
)
UNREADABLE: Final = Kind(code="memory_unreadable", severity="error", matters="the store cannot be opened")
LOCKED: Final = Kind(
    code="memory_locked", severity="info", matters="commands that write to it are refused meanwhile; reading is not"
)
JOURNAL: Final = Kind(
    code="journal_large",
    severity="warning",
    matters="opening the store reads all of it again; it is written into the snapshot when a writer closes the store",
)
KINDS: Final = (MISSING, DAMAGED, UNREADABLE, LOCKED, JOURNAL)


async def examine(parts: DiagnosisParts, limits: Limits) -> tuple[list[Finding], MemoryFiles | None]:
    """Return what is wrong with the memory store's files, which are read and verified as a whole, and the files."""
    try:
        files = await parts.memory_files()
    except SnapshotDamagedError as error:
        return [DAMAGED.found(str(error), RESTORE, subject=error.path)], None
    except StoreError as error:
        return [
            UNREADABLE.found(
                str(error), "look at the rights of the file, or name another one with RUVECTOR_MEMORY_PATH"
            )
        ], None
    return [*judged(files, limits), *judged_settings(files.space, parts)], files


def judged(files: MemoryFiles, limits: Limits) -> list[Finding]:
    """Return what is to be said of sound *files*."""
    if not files.snapshot_bytes and not files.journal_bytes:
        return [MISSING.found(f"there is no file {files.path}", "media-gateway load sample")]
    found: list[Finding] = []
    # The service has its own store open, and asks this of itself.
    if files.holder not in {None, f"process {os.getpid()}"}:
        found.append(
            LOCKED.found(f"{files.path} is open for writing in {files.holder}", "nothing to do, or end that process")
        )
    is_long = files.journal_bytes >= limits.journal_bytes
    if is_long and files.journal_bytes >= limits.journal_share * files.snapshot_bytes:
        seen = f"the journal has {in_bytes(files.journal_bytes)}, and the snapshot {in_bytes(files.snapshot_bytes)}"
        command = "end the process that writes, then: media-gateway doctor --fix"
        found.append(JOURNAL.found(seen, command, fix=None if files.holder else "compact"))
    return found
