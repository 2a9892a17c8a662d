"""The extension that holds the vectors: whether it is there, whole, and free of known corruption."""

from dataclasses import dataclass
from typing import Final, LiteralString

from media_gateway.database.engine import Engine, version_numbers
from media_gateway.monitoring.diagnosis.findings import Finding, Kind
from media_gateway.monitoring.diagnosis.view import ServerView

MISSING: Final = Kind(
    code="extension_missing", severity="error", matters="this database knows no vectors: nothing can be stored or found"
)
UNAVAILABLE: Final = Kind(
    code="extension_unavailable",
    severity="error",
    matters="the server knows no vectors and cannot be taught: nothing can be stored or found",
)
OLD: Final = Kind(
    code="extension_old",
    severity="error",
    matters="concurrent inserts and VACUUM could corrupt its index, so it is refused",
)
BEHIND: Final = Kind(
    code="extension_behind",
    severity="info",
    matters="the server has a newer version on disk than this database uses",
)
PARTS: Final = Kind(
    code="extension_incomplete", severity="error", matters="without it vectors can be stored or searched only in part"
)
KINDS: Final = (MISSING, UNAVAILABLE, OLD, BEHIND, PARTS)

_SQL: Final[LiteralString] = """
SELECT (SELECT extversion FROM pg_extension WHERE extname = %(extension)s),
    (SELECT default_version FROM pg_available_extensions WHERE name = %(extension)s),
    EXISTS (SELECT FROM pg_type WHERE typname = %(type)s),
    EXISTS (SELECT FROM pg_am WHERE amname = %(method)s),
    EXISTS (SELECT FROM pg_opclass JOIN pg_am ON pg_am.oid = opcmethod WHERE opcname = %(ops)s AND amname = %(method)s)
"""


@dataclass(frozen=True, kw_only=True)
class ExtensionReading:
    """The version that this database uses and the one that the server offers, and what of its parts there is."""

    installed: str | None
    available: str | None
    has_type: bool
    has_method: bool
    has_operators: bool


async def examine(view: ServerView) -> list[Finding]:
    """Return what is wrong with the extension of the engine in use."""
    engine = view.engine
    values = {
        "extension": engine.name,
        "type": engine.vector_type,
        "method": engine.access_method,
        "ops": engine.cosine_ops,
    }
    installed, available, has_type, has_method, has_operators = await view.row(_SQL, values)
    reading = ExtensionReading(
        installed=installed,
        available=available,
        has_type=has_type,
        has_method=has_method,
        has_operators=has_operators,
    )
    return judged(reading, engine, view.database)


def judged(reading: ExtensionReading, engine: Engine, database: str) -> list[Finding]:
    """Return what *reading* says of *engine* in *database*."""
    if reading.installed is None:
        return [_missing(reading, engine, database)]
    update = f"ALTER EXTENSION {engine.name} UPDATE"
    if engine.oldest is not None and version_numbers(reading.installed) < engine.oldest:
        oldest = ".".join(map(str, engine.oldest))
        is_there = reading.available is not None and version_numbers(reading.available) >= engine.oldest
        install = "" if is_there else f"install {engine.name} {oldest} or newer on the server's machine, then: "
        seen = f"{engine.name} is {reading.installed}; expected {oldest} or newer"
        rebuild = "; then media-gateway index rebuild"
        return [OLD.found(seen, f"{install}{update}{rebuild}")]
    parts = {
        f"type {engine.vector_type}": reading.has_type,
        f"access method {engine.access_method}": reading.has_method,
        f"operator class {engine.cosine_ops}": reading.has_operators,
    }
    lacking = [part for part, is_there in parts.items() if not is_there]
    if lacking:
        seen = f"{engine.name} {reading.installed} is there without its {', '.join(lacking)}"
        return [PARTS.found(seen, "reinstall the extension on the server's machine")]
    if reading.available is not None and version_numbers(reading.available) > version_numbers(reading.installed):
        return [BEHIND.found(f"{engine.name} is {reading.installed}, and {reading.available} is installed", update)]
    return []


def _missing(reading: ExtensionReading, engine: Engine, database: str) -> Finding:
    if reading.available is None:
        return UNAVAILABLE.found(
            f"the server has no extension {engine.name}",
            "install pgvector 0.8.4 or newer on the server's machine (Debian: postgresql-NN-pgvector)"
            if engine.name == "vector"
            else f"install {engine.name} on the server's machine",
        )
    return MISSING.found(
        f"the database {database} has no extension {engine.name}; the server offers {reading.available}",
        f"CREATE EXTENSION {engine.name}",
        fix="create_extension",
    )
