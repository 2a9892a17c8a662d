"""Making, checking and restoring the backups of a folder."""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import anyio.to_thread

from media_gateway.contracts import BackedUp
from media_gateway.errors import BackupError, UnsupportedError
from media_gateway.models import BackupFacts, BackupKind, Restored
from media_gateway.transfer.backup.manifest import (
    Manifest,
    manifest_of,
    manifest_path,
    read_manifest,
    write_manifest,
)
from media_gateway.transfer.replacing import fault
from media_gateway.whole_files import sync_folder

SUFFIXES: Final[dict[BackupKind, str]] = {"postgres": ".dump", "memory": ".snap"}
_NAME: Final = re.compile(r"backup-(\d{8})(?:-(\d+))?\.json")
_UNFINISHED: Final = ".backup-unfinished-"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A backup at *path*, and its manifest."""

    path: Path
    manifest: Manifest


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A backup that was restored beside what runs and found good; *age* is how old it is."""

    path: Path
    manifest: Manifest
    age: timedelta


class Backups:
    """The backups of *source* in *folder*, which is made when the first one is."""

    def __init__(
        self, folder: Path, source: BackedUp, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._folder = folder
        self._source = source
        self._clock = clock

    async def make(self) -> Made:
        """Back up the collection as it is at one moment, and return the new backup.

        Its name is backup-YYYYMMDD by the day in UTC, with -2, -3, ... for further ones of a day: none is ever
        replaced. File and manifest get their names when they are complete and synced, the manifest last, so what an
        interruption leaves behind is no backup. Raises BackupError when one is under way, and what the source raises.
        """
        at = self._clock()
        with self._only_one():
            partial = self._folder / f"{_UNFINISHED}{secrets.token_hex(4)}"
            try:
                partial.touch(mode=0o600, exist_ok=False)
                facts = await self._source.write(partial)
                return await anyio.to_thread.run_sync(self._named, partial, at, facts)
            finally:
                partial.unlink(missing_ok=True)

    async def newest(self) -> Made | None:
        """Return the newest backup of this source, by its name, or None; raises BackupError for a damaged manifest."""
        return await anyio.to_thread.run_sync(newest_backup, self._folder, self._source.kind)

    async def check(self) -> Checked:
        """Restore the newest backup beside what runs, compare it with its manifest, and remove it again.

        Raises BackupError when there is none, or it is not good.
        """
        found = await self.newest()
        if found is None:
            raise BackupError(
                f"there is no backup of the {self._source.kind} backend in {self._folder}; make one with "
                "media-gateway backup",
                path=str(self._folder),
            )
        await anyio.to_thread.run_sync(found.manifest.check_file, found.path)
        await self._source.check(found.path, found.manifest.facts)
        return Checked(path=found.path, manifest=found.manifest, age=self._clock() - found.manifest.made_at)

    async def restore(self, path: Path, tell: Callable[[str], None]) -> Restored:
        """Put the backup at *path* in the place of what runs, which is kept; *tell* is given what to know before.

        Raises BackupError, and UnsupportedError for a backup of the other backend; what runs is then untouched.
        """
        if not await anyio.Path(path).is_file():
            raise BackupError(f"there is no file {path}; give the path of a backup", path=str(path))
        manifest = await anyio.to_thread.run_sync(read_manifest, manifest_path(path))
        if manifest.facts.kind != self._source.kind:
            raise UnsupportedError(
                f"{path} is a backup of the {manifest.facts.kind} backend, and the settings choose {self._source.kind}; "
                f"give --backend {manifest.facts.kind}",
                feature="restore",
                store=self._source.kind,
            )
        await anyio.to_thread.run_sync(manifest.check_file, path)
        for sentence in await self._source.advice(manifest.facts):
            tell(sentence)
        return await self._source.restore(path, manifest.facts, at=self._clock())

    @contextmanager
    def _only_one(self) -> Generator[None]:
        """Hold the folder's lock; what killed backups left is removed, since none of them is at work now."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self._folder / ".backup.lock").open("ab")
        except OSError as error:
            raise fault(error, self._folder) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BackupError(
                    f"another backup into {self._folder} is under way; wait for it, or choose another folder",
                    path=str(self._folder),
                ) from error
            for leftover in self._folder.glob(f"{_UNFINISHED}*"):
                leftover.unlink(missing_ok=True)
            yield

    def _named(self, partial: Path, at: datetime, facts: BackupFacts) -> Made:
        path = self._free_name(at, SUFFIXES[facts.kind])
        manifest = manifest_of(partial, name=path.name, made_at=at, facts=facts)
        partial.chmod(0o600)
        partial.rename(path)
        sync_folder(self._folder)
        try:
            write_manifest(manifest_path(path), manifest)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Made(path=path, manifest=manifest)

    def _free_name(self, at: datetime, suffix: str) -> Path:
        number = 1
        while True:
            name = f"backup-{at:%Y%m%d}" + ("" if number == 1 else f"-{number}")
            if not any((self._folder / f"{name}{ending}").exists() for ending in (".json", *SUFFIXES.values())):
                return self._folder / f"{name}{suffix}"
            number += 1


def newest_backup(folder: Path, kind: BackupKind) -> Made | None:
    """Return the newest backup of a backend of *kind* in *folder*, by its name, or None where there is none.

    Raises BackupError for a damaged manifest, and for a folder that cannot be read.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208  names are matched, not opened
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BackupError(f"{folder} cannot be read: {error.strerror}", path=str(folder)) from error
    found = [match for name in names if (match := _NAME.fullmatch(name))]
    for match in sorted(found, key=lambda match: (match[1], int(match[2] or 1)), reverse=True):
        manifest = read_manifest(folder / match[0])
        if manifest.facts.kind == kind:
            return Made(path=(folder / match[0]).with_suffix(SUFFIXES[kind]), manifest=manifest)
    return None
