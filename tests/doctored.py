"""Databases to be made ill, and the settings and questions that their diagnoses are made by."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from media_gateway.cli.addresses import url_of
from media_gateway.models import VectorSpace
from media_gateway.monitoring.diagnosis import Diagnosis, Finding, Limits
from media_gateway.settings import Settings
from media_gateway.upkeep import Mended, diagnose, mend
from tests.postgres import TestServer

SPACE = VectorSpace(model="test", dimension=32)
ROOMY = Limits(disk_share=0.0, disk_full_bytes=0)
"""Limits that do not depend on how full the disk of this machine is."""


def settings_of(folder: Path, conninfo: dict[str, Any] | None = None, **values: Any) -> Settings:
    """Return settings for vectors of `SPACE`, on the server of *conninfo* where it is given."""
    address = {} if conninfo is None else {"backend": "postgres", "database_url": url_of(conninfo)}
    return Settings.read(
        **{
            "embedding_provider": "own",
            "own_model": SPACE.model,
            "dimension": SPACE.dimension,
            "backup_path": folder / "backups",
            "memory_path": folder / "memory.snap",
            "embedded_path": folder / "embedded",
            **address,
            **values,
        }
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """A database of its own, with the *settings* that mean it."""

    server: TestServer
    conninfo: dict[str, Any]
    settings: Settings

    def connect(self, **arguments: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(**{**self.conninfo, "autocommit": True, **arguments})

    def run(self, *statements: str) -> None:
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]

    def altered(self, statement: str) -> None:
        """Run an ALTER DATABASE, of which {} is the name."""
        self.run(statement.format(self.conninfo["dbname"]))


async def looked(settings: Settings, limits: Limits = ROOMY, **arguments: Any) -> Diagnosis:
    return await diagnose(settings, limits=limits, **arguments)


async def found(settings: Settings, code: str, limits: Limits = ROOMY, **arguments: Any) -> Finding:
    """Return the first finding of *code*, which must be there."""
    seen = await looked(settings, limits, **arguments)
    named = [finding for finding in seen.findings if finding.code == code]
    assert named, [(finding.code, finding.seen) for finding in seen.findings]
    return named[0]


async def mended(settings: Settings, code: str, limits: Limits = ROOMY) -> list[Mended]:
    """Mend, and return what was done, once the finding *code* was there, was mended, and is there no more."""
    before = await looked(settings, limits)
    assert code in _codes(before), [(finding.code, finding.seen) for finding in before.findings]
    told: list[Mended] = []
    done, after = await mend(settings, before, limits=limits, on_mended=told.append)
    assert told == done
    assert code in [one.code for one in done if one.error is None], done
    assert code not in _codes(after), [(finding.code, finding.seen) for finding in after.findings]
    return done


def _codes(diagnosis: Diagnosis) -> list[str]:
    return [finding.code for finding in diagnosis.findings]


Making = Callable[[], Case]
