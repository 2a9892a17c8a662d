"""The embedded server before anybody connects to it: never made, stopped, starting, not to be used."""

from pathlib import Path
from typing import Final

import anyio.to_thread

from media_gateway.database.server import EmbeddedServer, ServerStatus
from media_gateway.errors import ServerStartError
from media_gateway.monitoring.diagnosis.findings import Finding, Kind

MISSING: Final = Kind(
    code="embedded_missing",
    severity="error",
    matters="there is nothing to search; often the command runs in another folder than the one that was loaded in",
)
STOPPED: Final = Kind(
    code="embedded_stopped",
    severity="error",
    matters="every search and write fails, and it stays stopped until it is started on purpose",
)
DOWN: Final = Kind(
    code="embedded_down",
    severity="error",
    matters="searches and writes fail until something starts it; it was killed, or the machine was started anew",
)
STARTING: Final = Kind(
    code="server_starting", severity="error", matters="it takes no connections while it starts, recovers or stops"
)
UNUSABLE: Final = Kind(
    code="embedded_unusable", severity="error", matters="the server can neither be started nor looked at"
)
KINDS: Final = (MISSING, STOPPED, DOWN, STARTING, UNUSABLE)


async def embedded_state(folder: Path) -> Finding | None:
    """Return why the embedded server in *folder* takes no connections, None where it says that it does."""
    try:
        return judged(await anyio.to_thread.run_sync(EmbeddedServer(folder).status))
    except ServerStartError as error:
        return UNUSABLE.found(str(error), "media-gateway db status")


def judged(status: ServerStatus) -> Finding | None:
    """Return what *status* says against connecting, None for a server that runs."""
    if status.running:
        return None
    if status.pid is not None:
        return STARTING.found(
            f"the embedded PostgreSQL in {status.folder} has the process {status.pid} and takes no connections yet; "
            f"its log is {status.log}",
            f"tail -n 20 '{status.log}'",
        )
    if status.version is None:
        return MISSING.found(
            f"there is no embedded PostgreSQL in {status.folder}",
            "cd to the folder that has it, or set RUVECTOR_EMBEDDED_PATH; to make one: media-gateway db start",
        )
    if status.stopped_by_operator:
        return STOPPED.found(
            f"the embedded PostgreSQL in {status.folder} was stopped by media-gateway db stop", "media-gateway db start"
        )
    return DOWN.found(
        f"the embedded PostgreSQL in {status.folder} does not run, and nobody stopped it on purpose; its log is "
        f"{status.log}",
        "media-gateway db start",
        fix="start_server",
    )
