"""Backups in a folder: each a file with a manifest beside it that tells what must be in it."""

from media_gateway.transfer.backup.backups import Backups, Checked, Made, newest_backup
from media_gateway.transfer.backup.manifest import Manifest

__all__ = ["Backups", "Checked", "Made", "Manifest", "newest_backup"]
