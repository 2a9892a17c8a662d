"""What the process that serves tells of itself, in a small file that `rollout status` reads."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from media_gateway.rollout.files import replace_file

_FRESH_SECONDS: Final = 3.0


class ReportFile:
    """The report at *path*; it is rewritten every second by the process that serves."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, facts: dict[str, Any]) -> None:
        """Replace the report; a disk that cannot be written is no reason to stop serving."""
        value = {"pid": os.getpid(), "at": datetime.now(UTC).isoformat(), **facts}
        try:
            replace_file(self.path, json.dumps(value, indent=1, ensure_ascii=False).encode(), synced=False)
        except OSError:
            return

    def read(self) -> dict[str, Any] | None:
        """Return the report of the process that serves now; None when none does."""
        try:
            value: dict[str, Any] = json.loads(self.path.read_bytes())
            age = (datetime.now(UTC) - datetime.fromisoformat(value["at"])).total_seconds()
            os.kill(int(value["pid"]), 0)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return value if age < _FRESH_SECONDS else None

    def is_anothers(self) -> bool:
        """Return whether another process tells of itself here now."""
        found = self.read()
        return found is not None and found["pid"] != os.getpid()

    def remove(self) -> None:
        """Take this process's report away, since it serves no more; another's stays."""
        if not self.is_anothers():
            self.path.unlink(missing_ok=True)
