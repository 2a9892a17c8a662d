"""The manifest of a backup: what its file must be, byte for byte, and what must come out of it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, cast

from media_gateway.errors import BackupError
from media_gateway.models import BackupFacts
from media_gateway.transfer.replacing import written_whole

_FORMAT: Final = 1
_SHOWN: Final = 16
"""Digits of a checksum that a message shows."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The backup in *file*, of *size* bytes with the checksum *sha256*, made at *made_at* by *program*, holds *facts*."""

    file: str
    size: int
    sha256: str
    made_at: datetime
    program: str
    facts: BackupFacts

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as it is written."""
        return {
            "format": _FORMAT,
            "file": self.file,
            "bytes": self.size,
            "sha256": self.sha256,
            "made_at": self.made_at.isoformat(timespec="seconds"),
            "program": self.program,
            **asdict(self.facts),
        }

    def check_file(self, path: Path) -> None:
        """Raise BackupError unless *path* is the file of this manifest, byte for byte."""
        size, sha256 = _measured(path)
        if size != self.size:
            raise _damaged(path, f"it has {size:,} bytes, and its manifest says {self.size:,}")
        if sha256 != self.sha256:
            raise _damaged(
                path,
                f"its SHA-256 begins with {sha256[:_SHOWN]}, and its manifest says {self.sha256[:_SHOWN]}",
            )


def manifest_path(path: Path) -> Path:
    """Return where the manifest of the backup *path* lies."""
    return path.with_suffix(".json")


def manifest_of(path: Path, *, name: str, made_at: datetime, facts: BackupFacts) -> Manifest:
    """Return the manifest of the complete file at *path*, which will be called *name*."""
    size, sha256 = _measured(path)
    program = f"media-gateway {version('media-gateway')}"
    return Manifest(file=name, size=size, sha256=sha256, made_at=made_at, program=program, facts=facts)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write *manifest* to *path*, wholly or not at all."""
    with written_whole(path) as file:
        file.write(json.dumps(manifest.as_json(), indent=2).encode() + b"\n")


def read_manifest(path: Path) -> Manifest:
    """Return the manifest at *path*; raises BackupError when there is none, or none that can be understood."""
    try:
        values = cast("dict[str, Any]", json.loads(path.read_bytes()))
        if values["format"] != _FORMAT:
            raise BackupError(
                f"the manifest {path} has the format {values['format']}; this program reads {_FORMAT}: install a newer one",
                path=str(path),
            )
        return _parsed(values)
    except FileNotFoundError as error:
        raise BackupError(
            f"the backup has no manifest at {path}, so nobody knows whether it is whole; put the two files side by side, "
            "or restore it by hand with pg_restore",
            path=str(path),
        ) from error
    except OSError as error:
        raise BackupError(f"the manifest {path} cannot be read: {error.strerror}", path=str(path)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(
            f"the manifest {path} is damaged: it cannot be understood; use another backup", path=str(path)
        ) from error


def _parsed(values: dict[str, Any]) -> Manifest:
    facts = BackupFacts(
        kind=values["kind"],
        count=int(values["count"]),
        model=values["model"],
        dimension=values["dimension"],
        digest=values["digest"],
        schema_version=values["schema_version"],
        tables=dict(values["tables"]),
        versions=dict(values["versions"]),
    )
    return Manifest(
        file=str(values["file"]),
        size=int(values["bytes"]),
        sha256=str(values["sha256"]),
        made_at=datetime.fromisoformat(values["made_at"]),
        program=str(values["program"]),
        facts=facts,
    )


def _measured(path: Path) -> tuple[int, str]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as error:
        raise BackupError(f"the backup {path} cannot be read: {error.strerror}", path=str(path)) from error


def _damaged(path: Path, finding: str) -> BackupError:
    return BackupError(f"the backup {path} is damaged: {finding}; nothing was changed: use another one", path=str(path))
