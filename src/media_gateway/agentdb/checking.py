"""Looking an AgentDB file over: SQLite's own checks, and what its two programs rely on."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from media_gateway.agentdb.context import KINDS, Kind, is_usable_blob
from media_gateway.agentdb.statements import statement

_SHOWN: Final = 5
_JSON: Final = (
    ("pattern", "reasoning_patterns", ("tags", "metadata"), (7, 8), "pattern_page"),
    ("episode", "episodes", ("tags", "metadata"), (11, 12), "episode_page"),
    ("skill", "skills", ("signature", "metadata"), (3, 13), "skill_page"),
    ("edge", "causal_edges", ("evidence_ids", "experiment_ids", "metadata"), (9, 10, 16), "edge_page"),
)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is not as it should be: *what*, in *count* rows, some of them named by *rows*."""

    what: str
    count: int
    rows: list[int]


def problems_of(connection: sqlite3.Connection) -> list[Problem]:
    """Return what is wrong with the file; nothing is changed."""
    found = [
        Problem(what=f"integrity: {str(row[0])!r}", count=1, rows=[])
        for row in connection.execute("PRAGMA main.integrity_check(20)")
        if row[0] != "ok"
    ]
    broken: dict[str, list[int]] = {}
    for table, rowid, parent, _ in connection.execute("PRAGMA main.foreign_key_check"):
        broken.setdefault(f"rows of {table} that belong to no row of {parent}", []).append(rowid or 0)
    for kind in KINDS:
        broken.update(_of_vectors(connection, kind))
    for kind, _, names, places, page in _JSON:
        broken.update(_of_json(connection, kind, names, places, page))
    broken["episodes whose success is neither 0 nor 1"] = [
        row[0] for row in _rows(connection, "episode_page") if row[8] not in {0, 1, None}
    ]
    broken["edges with a confidence outside 0..1"] = [
        row[0] for row in _rows(connection, "edge_page") if row[7] is not None and not 0 <= row[7] <= 1
    ]
    return found + [_problem(what, rows) for what, rows in broken.items() if rows]


def _of_vectors(connection: sqlite3.Connection, kind: Kind) -> dict[str, list[int]]:
    there: set[int] = set()
    unusable: list[int] = []
    for row in connection.execute(statement(f"{kind}_vectors")):
        there.add(row[0])
        if not is_usable_blob(row[-1]):
            unusable.append(row[0])
    missing = [row[0] for row in connection.execute(statement(f"{kind}_texts")) if row[0] not in there]
    return {
        f"{kind}s whose vector is not 384 finite numbers that are not all zero": unusable,
        f"{kind}s without a vector, which no search finds": missing,
    }


def _of_json(
    connection: sqlite3.Connection, kind: str, names: tuple[str, ...], places: tuple[int, ...], page: str
) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in _rows(connection, page):
        for name, place in zip(names, places, strict=True):
            if not _is_json(row[place]):
                found.setdefault(f"{kind}s whose {name} is no JSON", []).append(row[0])
    return found


def _is_json(text: object) -> bool:
    if text is None:
        return True
    if not isinstance(text, str):
        return False
    try:
        # Python reads NaN and Infinity, which JSON has not and npm does not.
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _rows(connection: sqlite3.Connection, page: str) -> Iterator[Any]:
    yield from connection.execute(statement(page), (-(2**62), -1))


def _problem(what: str, rows: list[int]) -> Problem:
    return Problem(what=what, count=len(rows), rows=sorted(rows)[:_SHOWN])
