"""The file that the server logs to, and the reason for a failed start that stands in it."""

import os
import re
import shutil
from pathlib import Path

LIMIT = 8 * 1024 * 1024
"""Bytes at which the log is set aside; one older file is kept beside it."""

_CONTEXT_LINES = 12
_NEAR = 3  # entries before the last one, among them hints
_COMPLAINTS = ("invalid value", "unrecognized", "syntax error", "parameter", "could not bind", "could not load")
_ENTRY = re.compile(r"(?P<severity>LOG|WARNING|ERROR|FATAL|PANIC|HINT|DETAIL):\s+(?P<text>.*)")


def keep_small(path: Path, limit: int = LIMIT) -> None:
    """Move what the log holds into its `.1` file when it is longer than *limit* bytes.

    The file is emptied in place: a running server goes on writing at the end of it.
    """
    if not path.is_file() or path.stat().st_size <= limit:
        return
    older = path.with_name(path.name + ".1")
    older.unlink(missing_ok=True)
    shutil.copyfile(path, older)
    older.chmod(0o600)
    os.truncate(path, 0)


def size(path: Path) -> int:
    """Return the log's length in bytes, 0 when there is none."""
    return path.stat().st_size if path.is_file() else 0


def since(path: Path, offset: int) -> str:
    """Return what was logged after *offset* bytes, at most the last 64 KiB."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(min(offset, end), end - 65536))
        return file.read().decode("utf-8", errors="replace")


def reason(text: str) -> tuple[str, str]:
    """Return why the server gave up, in one phrase, and the last lines of *text*, its log.

    The phrase is the last FATAL or PANIC entry, led by the complaint right before it, which often is the real one:
    "configuration file contains errors" does not say which.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    entries = [found for found in map(_ENTRY.search, lines) if found]
    fatal = max((at for at, entry in enumerate(entries) if _ends_the_server(entry)), default=None)
    if fatal is None:
        phrase = lines[-1].strip() if lines else "it wrote nothing to its log"
    else:
        complaints = [entry["text"] for entry in entries[max(fatal - _NEAR, 0) : fatal] if _is_complaint(entry)]
        after = entries[fatal + 1 : fatal + 2]
        detail = [entry["text"] for entry in after if entry["severity"] == "DETAIL"]
        phrase = ": ".join([*complaints[-1:], entries[fatal]["text"], *detail])
    return phrase.rstrip(".") or "unknown", "\n".join(lines[-_CONTEXT_LINES:])


def _ends_the_server(entry: re.Match[str]) -> bool:
    # A client that knocks too early is told so by a FATAL entry of its own.
    return entry["severity"] in {"FATAL", "PANIC"} and not entry["text"].startswith("the database system is")


def _is_complaint(entry: re.Match[str]) -> bool:
    return entry["severity"] in {"LOG", "WARNING"} and entry["text"].startswith(_COMPLAINTS)
