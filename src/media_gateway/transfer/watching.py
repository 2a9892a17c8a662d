"""How far the newest resumable transfer is, as whoever does not run it can see."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

JOURNALS: Final = Path("data/transfers")
"""Where journals lie unless told otherwise."""
_LATELY: Final = 24 * 3600.0
"""Seconds after which a journal that nobody wrote to is history."""
_END: Final = 64 * 1024
"""Bytes at a journal's end that hold its last steps."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A transfer by its journal at *path*: *done* of *expected* records, None where nobody counted them.

    *idle* are the seconds since its last step.
    """

    path: Path
    done: int
    expected: int | None
    is_finished: bool
    idle: float

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "journal": str(self.path),
            "done": self.done,
            "expected": self.expected,
            "finished": self.is_finished,
            "idle_seconds": round(self.idle, 3),
        }


def newest_progress(folder: Path = JOURNALS) -> Progress | None:
    """Return how far the transfer is whose journal in *folder* was written to last, None where there was none for a day.

    Journals are only read, beside the process that writes them; what is no journal is passed over.
    """
    for path, written in sorted(_journals(folder), key=lambda found: found[1], reverse=True):
        idle = max(0.0, time.time() - written)
        progress = _progress(path, idle) if idle < _LATELY else None
        if progress is not None:
            return progress
    return None


def _journals(folder: Path) -> Iterator[tuple[Path, float]]:
    try:
        paths = list(folder.glob("*.journal"))
    except OSError:
        return
    for path in paths:
        try:
            yield path, path.stat().st_mtime
        except OSError:
            continue


def _progress(path: Path, idle: float) -> Progress | None:
    try:
        with path.open("rb") as file:
            is_journal = file.readline().startswith(b'{"transfer":')
            file.seek(max(file.tell(), file.seek(0, os.SEEK_END) - _END))
            lines = file.read().splitlines()
    except OSError:
        return None
    if not is_journal:
        return None
    done, expected, is_finished = 0, None, False
    for line in lines:
        step = _step(line)
        done, expected = step.get("read", done), step.get("of", expected)
        is_finished = step.get("finished", is_finished)
    return Progress(path=path, done=done, expected=expected, is_finished=is_finished, idle=idle)


def _step(line: bytes) -> dict[str, Any]:
    """Return the step of *line*; the first one read and the last one may be cut off."""
    try:
        step = orjson.loads(line)
    except ValueError:
        return {}
    return step if isinstance(step, dict) else {}  # pyright: ignore[reportUnknownVariableType]
