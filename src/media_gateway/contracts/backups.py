"""What backups are taken of."""

from datetime import datetime
from pathlib import Path
from typing import Protocol

from media_gateway.models import BackupFacts, BackupKind, Restored


class BackedUp(Protocol):
    """What backups are taken of: the collection of one backend, with its files or its database."""

    @property
    def kind(self) -> BackupKind:
        """The backend whose backups these are."""
        ...

    async def write(self, path: Path) -> BackupFacts:
        """Write the collection of one moment to *path*, synced, and return what is in it.

        Nothing is held up meanwhile. What a failure leaves at *path* is the caller's to remove.
        """
        ...

    async def advice(self, facts: BackupFacts) -> list[str]:
        """Return what an operator should know before restoring a backup of *facts*, a sentence each."""
        ...

    async def check(self, path: Path, facts: BackupFacts) -> None:
        """Restore the backup at *path* beside what runs, compare it with *facts*, and remove it again.

        Raises BackupError when it cannot be restored or holds something else.
        """
        ...

    async def restore(self, path: Path, facts: BackupFacts, *, at: datetime) -> Restored:
        """Put the backup at *path* in the place of what runs, once it is restored beside it and agrees with *facts*.

        What ran is kept under a name with the time *at*. On any error it runs on unchanged. Raises BackupError.
        """
        ...
