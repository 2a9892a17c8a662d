"""The backups of the backend that settings choose."""

from pathlib import Path

from media_gateway.contracts import BackedUp
from media_gateway.database.engine import ENGINES
from media_gateway.settings import Settings
from media_gateway.stores.memory.backup import MemoryBackup
from media_gateway.stores.postgres.backup import PostgresBackup
from media_gateway.transfer.backup import Backups
from media_gateway.wiring.servers import server_conninfo


async def backups(settings: Settings, folder: Path | None = None, *, keeps_owners: bool = True) -> Backups:
    """Return the backups of the backend that *settings* choose, in *folder* or else where they say.

    *keeps_owners* False restores everything as the role's own. Under `memory` no PostgreSQL connection is opened.
    """
    source: BackedUp
    if settings.backend == "memory":
        source = MemoryBackup(settings.memory_path)
    else:
        source = PostgresBackup(
            await server_conninfo(settings),
            server=settings.server(),
            engine=ENGINES[settings.engine],
            programs=settings.postgres_bin_dir,
            keeps_owners=keeps_owners,
        )
    return Backups(folder or settings.backup_path, source)
