"""The vector index: missing, invalid, worn, or just being built."""

from typing import Final

from media_gateway.database.index_definitions import INDEX_NAMES, IndexKind, fitting_kind
from media_gateway.monitoring.diagnosis.findings import Finding, Kind, in_bytes
from media_gateway.monitoring.diagnosis.parts import CollectionFacts, IndexFacts

_COMPARES_ALL: Final = "every search compares with every record, which takes many times longer the more there are"
MISSING: Final = Kind(code="index_missing", severity="error", matters=_COMPARES_ALL)
INVALID: Final = Kind(
    code="index_invalid",
    severity="error",
    matters="no search uses it, every write pays for it; it is the rest of a build that was cut off, or worse",
)
BLOATED: Final = Kind(
    code="index_bloated", severity="warning", matters="it finds less, or reads more pages, than one built anew"
)
BUILDING: Final = Kind(
    code="index_building", severity="info", matters="searches use what was there before, until it is done"
)
KINDS: Final = (MISSING, INVALID, BLOATED, BUILDING)


def judged(facts: CollectionFacts, *, searches_index: int) -> list[Finding]:
    """Return what is wrong with the indexes of a collection; up to *searches_index* rows none is needed."""
    building = (
        [BUILDING.found(f"an index is being built: {facts.building}", "media-gateway index status")]
        if facts.building
        else []
    )
    if building:
        # What is invalid now is what is being built.
        return building
    found = [_invalid(index, facts) for index in facts.indexes if not index.is_valid or index.is_leftover]
    if facts.serving is None and not any(finding.subject in INDEX_NAMES.values() for finding in found):
        found.append(_missing(facts, searches_index))
    return [*found, *(_bloated(index) for index in facts.indexes if _is_worn(index))]


def _is_worn(index: IndexFacts) -> bool:
    return index.is_valid and not index.is_leftover and index.rebuild_reason is not None


def _invalid(index: IndexFacts, facts: CollectionFacts) -> Finding:
    state = "is the rest of a build that was cut off" if index.is_leftover else "is invalid"
    seen = f"{index.name} ({in_bytes(index.bytes)}) {state}"
    # Beside one that serves it costs room and time only.
    severity = "error" if facts.serving is None else "warning"
    if index.kind is None:
        command = f"DROP INDEX CONCURRENTLY {index.name}"
        return INVALID.found(seen, command, subject=index.name, severity=severity)
    is_there = any(other.name == INDEX_NAMES[index.kind] for other in facts.indexes)
    return INVALID.found(
        seen,
        _rebuilding(index.kind) if is_there else _building(index.kind),
        fix="rebuild_index" if is_there else "build_index",
        subject=INDEX_NAMES[index.kind],
        severity=severity,
    )


def _missing(facts: CollectionFacts, searches_index: int) -> Finding:
    kind = fitting_kind(facts.dimension)
    is_small = facts.rows <= searches_index
    return MISSING.found(
        f"there is no vector index on {facts.rows:,} records",
        _building(kind),
        fix="build_index",
        subject=INDEX_NAMES[kind],
        # So few are compared as quickly.
        severity="warning" if is_small else "error",
    )


def _bloated(index: IndexFacts) -> Finding:
    command = f"media-gateway index status; {_rebuilding(index.kind or 'vector')}"
    return BLOATED.found(f"{index.name}: {index.rebuild_reason}", command, subject=index.name)


def _rebuilding(kind: IndexKind) -> str:
    return f"media-gateway index rebuild --kind {kind} --backend postgres"


def _building(kind: IndexKind) -> str:
    return f"media-gateway index build --kind {kind} --backend postgres"
