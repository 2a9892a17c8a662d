"""Gathering what `monitor` shows: from PostgreSQL, the files, and a service's metrics."""

import asyncio
import time
import urllib.error
import urllib.request
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Final, Self

import anyio.to_thread

from media_gateway.errors import BackupError, MediaGatewayError, SettingsError
from media_gateway.monitored import database_folder
from media_gateway.monitoring.postgres import PostgresReading
from media_gateway.monitoring.refreshing import PostgresReader
from media_gateway.monitoring.scrapes import Scrape, figures, parsed
from media_gateway.monitoring.surroundings import disk_reading
from media_gateway.settings import Settings
from media_gateway.steering.facts import read_status
from media_gateway.transfer.backup import newest_backup
from media_gateway.transfer.watching import newest_progress
from media_gateway.wiring import rollout_parts, running_conninfo

_SERVICE_SECONDS: Final = 5.0


class Watch:
    """Looks at everything once a call; what it connects to is kept from look to look. An async context manager.

    *url* is that of a service, such as http://127.0.0.1:8080, whose metrics are looked at too.
    """

    def __init__(self, settings: Settings, *, url: str | None = None) -> None:
        self._settings = settings
        self._url = None if url is None else _checked(url)
        self._postgres = PostgresReader(lambda: running_conninfo(settings), server=settings.server())
        self._former: Scrape | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._postgres.aclose()

    async def look(self) -> dict[str, Any]:
        """Return what there is to see now, as a JSON object; what cannot be reached says why and stops nothing else."""
        postgres, rollout, service, files = await asyncio.gather(
            self._look_at_postgres(), self._look_at_rollout(), self._look_at_service(), self._look_at_files()
        )
        return {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "backend": self._settings.backend,
            "server": self._settings.server() if self._settings.backend == "postgres" else None,
            "postgres": postgres,
            "rollout": rollout,
            **files,
            "service": service,
        }

    async def look_twice(self, seconds: float) -> dict[str, Any]:
        """Return what `look` does; a service is looked at *seconds* before, too, so that rates are known."""
        if self._url is not None:
            await self._look_at_service()
            await asyncio.sleep(seconds)
        return await self.look()

    async def _look_at_postgres(self) -> dict[str, Any] | None:
        if self._settings.backend == "memory":
            return None
        try:
            return {"up": True, **_as_json(await self._postgres.read())}
        except MediaGatewayError as error:
            return {"up": False, "error": str(error)}

    async def _look_at_rollout(self) -> dict[str, Any] | None:
        """Return the rollout's state, None where there is none; under memory PostgreSQL is not asked."""
        if self._settings.backend == "memory":
            files = rollout_parts(self._settings).files
            state = files.state.latest()
            return None if state is None else {**state.as_json(), "state": state.text, "service": files.report.read()}
        try:
            status = await read_status(self._settings)
        except MediaGatewayError as error:
            return {"state": None, "error": str(error)}
        return None if status["mode"] is None else status

    async def _look_at_files(self) -> dict[str, Any]:
        settings = self._settings
        volumes = {"data": settings.memory_path.parent}
        database = database_folder(settings, self._postgres.last)
        if database is not None:
            volumes["database"] = database
        return await anyio.to_thread.run_sync(
            lambda: {"backup": _backup(settings), "transfer": _transfer(), "disks": _disks(disk_reading(volumes))}
        )

    async def _look_at_service(self) -> dict[str, Any] | None:
        if self._url is None:
            return None
        try:
            now = await anyio.to_thread.run_sync(_scraped, self._url, self._settings)
        except (OSError, ValueError) as error:
            self._former = None
            return {"url": self._url, "up": False, "error": _reason(error)}
        former, self._former = self._former, now
        return {"url": self._url, "up": True, **figures(now, former)}


def _as_json(reading: PostgresReading) -> dict[str, Any]:
    return asdict(replace(reading, connections=dict(reading.connections), missing=dict(reading.missing)))


def _checked(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise SettingsError(
            f"--service is {url!r}; expected the address of a service, such as http://127.0.0.1:8080",
            field="service",
            given=url,
            expected="http://HOST:PORT",
        )
    return url.rstrip("/").removesuffix("/metrics")


def _scraped(url: str, settings: Settings) -> Scrape:
    request = urllib.request.Request(f"{url}/metrics")  # noqa: S310  the scheme was checked
    if settings.api_key is not None:
        request.add_header("Authorization", f"Bearer {settings.api_key.get_secret_value()}")
    try:
        with urllib.request.urlopen(request, timeout=_SERVICE_SECONDS) as answer:  # noqa: S310
            return parsed(answer.read().decode(), at=time.monotonic())
    except urllib.error.HTTPError as error:
        error.close()
        raise


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError) and error.code in {401, 403}:
        return f"it answered {error.code}; set RUVECTOR_API_KEY to a key that may read"
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"it cannot be reached: {error.reason}"
    return f"it gave no metrics: {error}"


def _backup(settings: Settings) -> dict[str, Any] | None:
    try:
        newest = newest_backup(settings.backup_path, settings.backend)
    except BackupError as error:
        return {"path": None, "error": str(error)}
    if newest is None:
        return None
    made = newest.manifest.made_at
    return {
        "path": str(newest.path),
        "made_at": made.isoformat(timespec="seconds"),
        "age_seconds": round((datetime.now(UTC) - made).total_seconds()),
    }


def _transfer() -> dict[str, Any] | None:
    progress = newest_progress()
    return None if progress is None else progress.as_json()


def _disks(reading: Any) -> list[dict[str, Any]]:
    free, whole = reading["disk_free_bytes"], reading["disk_size_bytes"]
    return [{"volume": labels[0], "free_bytes": int(free[labels]), "size_bytes": int(whole[labels])} for labels in free]
