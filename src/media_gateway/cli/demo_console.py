"""The console of the demo: a service that runs on when the command has ended, with users made up for it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from media_gateway.cli.output import note

if TYPE_CHECKING:
    from media_gateway.settings import Settings

_FILE: Final = "demo-service.json"
_LOG: Final = "demo-service.log"
_KEY: Final = "demo"
_KEY_HOURS: Final = 24
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0

# Who watched what, to have somebody to recommend to: families of taste, not real people.
USERS: Final = {
    "ann": ("movie-862", "movie-863", "movie-12", "movie-14160", "movie-9806"),
    "ben": ("movie-862", "movie-10193", "movie-585", "movie-12", "movie-2062"),
    "carla": ("movie-603", "movie-78", "movie-27205", "movie-157336", "movie-335984"),
    "dev": ("movie-603", "movie-27205", "movie-155", "movie-157336", "movie-680"),
    "eva": ("movie-238", "movie-240", "movie-769", "movie-680", "movie-111"),
    "finn": ("tv-1396", "tv-60059", "tv-1438", "movie-769", "movie-238"),
}
_FIRST_TIME: Final = datetime(2026, 1, 1, 20, tzinfo=UTC).timestamp()


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The demo's service: the *address* of the console with a key that may write, and its process."""

    address: str
    url: str
    pid: int


def start(settings: "Settings") -> Serving:
    """Start the service beside the data, or find it running, and give it the users; raises ServerStartError."""
    from media_gateway.server.keys import KeyFile, Scope

    folder = settings.keys_path.parent
    keys = KeyFile(settings.keys_path)
    if any(key.name == _KEY for key in keys.read()):
        keys.revoke(_KEY)
    expires = datetime.now(UTC) + timedelta(hours=_KEY_HOURS)
    _, text = keys.create(_KEY, Scope.write, expires=expires)
    running = _running(folder)
    if running is not None and running.get("backend") != settings.backend:
        # That of a demo on the other backend.
        stop(settings)
        running = None
    running = running or _started(settings, folder)
    users = ""
    if settings.backend == "postgres" and _told_users(running["address"], text):
        users = f"&users={','.join(USERS)}"
    return Serving(address=running["address"], url=f"{running['address']}/#key={text}{users}", pid=running["pid"])


def stop(settings: "Settings") -> bool:
    """End the service, and return whether it ran."""
    folder = settings.keys_path.parent
    running = _running(folder)
    (folder / _FILE).unlink(missing_ok=True)
    if running is None:
        return False
    os.kill(running["pid"], signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < deadline and _answers(running["address"]):
        time.sleep(0.1)
    return True


def _running(folder: Path) -> dict[str, Any] | None:
    """Return address and process of the service that an earlier demo started here, None where it does not answer."""
    try:
        kept: dict[str, Any] = json.loads((folder / _FILE).read_text())
        os.kill(kept["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept if _answers(kept["address"]) else None


def _started(settings: "Settings", folder: Path) -> dict[str, Any]:
    from media_gateway.errors import ServerStartError
    from media_gateway.whole_files import replacing

    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "RUVECTOR_BACKEND": settings.backend,
        "EMBEDDING_PROVIDER": "local",
        "RUVECTOR_HTTP_HOST": "127.0.0.1",
        "RUVECTOR_HTTP_PORT": "0",
    }
    with (folder / _LOG).open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "media_gateway", "serve", "--json"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    address = None
    while address is None and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
        address = _announced((folder / _LOG).read_text())
    if address is None:
        process.terminate()
        raise ServerStartError(
            f"the console did not start; {folder / _LOG} says why, and demo --no-serve does without it",
            folder=str(folder),
        )
    started = {"pid": process.pid, "address": address, "backend": settings.backend}
    with replacing(folder / _FILE) as file:
        file.write(json.dumps(started).encode())
    return started


def _announced(log: str) -> str | None:
    """Return the address that the service told, among the lines of its log."""
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            said: Any = json.loads(line)
            if isinstance(said, dict) and "address" in said:
                return str(cast("dict[str, Any]", said)["address"])
    return None


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError):
        return _ask(address + "/health/live").status == 200  # noqa: PLR2004
    return False


def _told_users(address: str, key: str) -> bool:
    """Send what the users watched, and return whether it was taken; sent again, it counts once."""
    events = [
        {"user": user, "key": film, "completion": 1.0, "time": _FIRST_TIME + 86_400 * day + 3600 * place}
        for place, (user, films) in enumerate(USERS.items())
        for day, film in enumerate(films)
    ]
    try:
        _ask(f"{address}/v1/events", {"events": events}, key)
    except OSError as error:
        note(f"the console has nobody to recommend to, since it did not take what they watched: {error}")
        return False
    return True


def _ask(url: str, body: object = None, key: str | None = None) -> Any:
    from urllib.request import Request, urlopen

    headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data=data, headers=headers), timeout=5) as answer:  # noqa: S310  our own address
        answer.read()
        return answer
