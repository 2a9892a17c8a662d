"""The service's log: one JSON object a line on stderr, without keys, passwords, vectors and texts.

Messages of unexpected errors are left out, since they may quote what a request brought; the kinds of the errors and the
places in the code are there. What looks like a key is hidden wherever it stands, and so is every secret of the settings.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

import orjson
from pydantic import SecretStr

from media_gateway.errors import InvalidInputError, MediaGatewayError, SettingsError
from media_gateway.server.problems import request_id
from media_gateway.settings import Settings

HIDDEN: Final = "(hidden)"
FIELDS: Final = "media_gateway_fields"
"""The attribute of a record that holds further entries of its line."""

_KEY: Final = re.compile(r"\bmg_([0-9a-f]{8})_[A-Za-z0-9_-]+")
_IN_URL: Final = re.compile(r"(://[^/@:\s]*):[^/@\s]+@")
_FRAMES: Final = 12
_SHORTEST_SECRET: Final = 4
"""Characters from which on a setting's value is looked for; a shorter one would be found in ordinary words."""


def log_as_json(settings: Settings, *, level: str = "INFO") -> None:
    """Make this process log JSON lines to stderr: the service from *level* on, other packages warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(secrets_of(settings)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("media_gateway", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(level)
    logging.captureWarnings(capture=True)


def secrets_of(settings: Settings) -> list[str]:
    """Return every secret of *settings*, as text that must appear nowhere."""
    values = (getattr(settings, name) for name in Settings.model_fields)
    found = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    if settings.database_url is not None:
        # Under memory it may be anything, since nobody asks for it.
        with suppress(SettingsError):
            found.append(str(settings.conninfo().get("password") or ""))
    return found


class JsonLines(logging.Formatter):
    """Writes a record as one line: time, level, event, logger, request_id, message, and what its maker adds."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        forms = {form for text in secrets if len(text) >= _SHORTEST_SECRET for form in (text, _in_json(text))}
        found = sorted(forms, key=len, reverse=True)
        self._secrets = re.compile("|".join(re.escape(text) for text in found)) if found else None

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        fields: dict[str, Any] = getattr(record, FIELDS, {})
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": "log",
            "logger": record.name,
            "request_id": request_id.get(),
        }
        if not fields:
            line["message"] = record.getMessage()
        line.update(fields)
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line["error"] = [_told(part) for part in _chain(error)]
            line["at"] = _places(error.__traceback__)
        return self._without_secrets(_as_json({name: value for name, value in line.items() if value is not None}))

    def _without_secrets(self, text: str) -> str:
        if "mg_" in text:
            text = _KEY.sub(rf"mg_\1_{HIDDEN}", text)
        if "://" in text:
            text = _IN_URL.sub(rf"\1:{HIDDEN}@", text)
        return self._secrets.sub(HIDDEN, text) if self._secrets else text


def _in_json(text: str) -> str:
    """Return *text* as it stands in a line, where quotation marks and backslashes are escaped."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _as_json(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=repr).decode()
    except orjson.JSONEncodeError:
        # A lone surrogate, which UTF-8 has no place for.
        return orjson.dumps({name: repr(value) for name, value in line.items()}).decode()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and what it was raised from, without going in a circle."""
    seen: set[int] = set()
    part: BaseException | None = error
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        yield part
        part = part.__cause__ or part.__context__


def _told(error: BaseException) -> str:
    """Return what may be told of *error*: ours speak of servers and settings, those about input quote it."""
    kind = type(error).__name__
    if isinstance(error, MediaGatewayError) and not isinstance(error, InvalidInputError):
        return f"{kind}: {error}"
    return kind


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
