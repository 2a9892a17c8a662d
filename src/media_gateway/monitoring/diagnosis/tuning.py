"""What tuning found: whether searches are as wide as the recall that is wanted asks for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from media_gateway.monitoring.diagnosis.findings import Finding, Kind
from media_gateway.monitoring.diagnosis.parts import CollectionFacts, IndexFacts
from media_gateway.monitoring.diagnosis.view import ServerView

_FINDS_LESS: Final = "searches may leave out records that belong among the best"
UNTUNED: Final = Kind(
    code="profile_missing",
    severity="warning",
    matters="searches go by a width that suits made-up data: it may be too narrow, or slower than need be",
)
OUTGROWN: Final = Kind(code="profile_outgrown", severity="warning", matters=_FINDS_LESS)
BELOW: Final = Kind(code="recall_below_target", severity="warning", matters=_FINDS_LESS)
NARROW: Final = Kind(
    code="ef_search_low",
    severity="warning",
    matters="this program's searches set their own, but SQL of others, such as psql's, finds less than it should",
)
KINDS: Final = (UNTUNED, OUTGROWN, BELOW, NARROW)

_PROFILE: Final[LiteralString] = """
SELECT ef_search, recall, recall_low, target, table_rows, measured_at
FROM content_search_profiles WHERE index_kind = %s ORDER BY id DESC LIMIT 1
"""
_READABLE: Final[LiteralString] = "SELECT has_table_privilege(to_regclass('content_search_profiles'), 'SELECT')"
_SET: Final[LiteralString] = """
SELECT CASE WHEN setrole = 0 THEN 'DATABASE ' || quote_ident(current_database()) ELSE 'ROLE ' || quote_ident(current_user) END,
    split_part(entry, '=', 2)::int
FROM pg_db_role_setting, unnest(setconfig) AS entry
WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
    AND split_part(entry, '=', 1) = %s AND split_part(entry, '=', 2) ~ '^[0-9]{1,6}$'
ORDER BY setrole DESC, setdatabase DESC LIMIT 1
"""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What tuning recorded last: the width, the recall found with it and its lower bound, and when, on how many rows."""

    ef_search: int
    recall: float
    recall_low: float
    target: float
    rows: int
    measured_at: datetime


async def examine(view: ServerView, facts: CollectionFacts) -> list[Finding]:
    """Return how the latest profile of the index in use falls short."""
    index = facts.serving
    if index is None or index.kind is None or view.settings.exact or facts.rows <= view.parts.searches_index:
        return []
    (is_readable,) = await view.row(_READABLE)
    rows = await view.rows(_PROFILE, [index.kind]) if is_readable else []
    profile = _profile(rows[0]) if rows else None
    found = judged(profile, index, rows=facts.rows, target=view.settings.recall_target, grown=view.limits.grown)
    chosen = await view.rows(_SET, [view.engine.ef_search])
    if profile is not None and chosen:
        found += _judged_width(profile, view.engine.ef_search, *chosen[0])
    return found


def judged(profile: Profile | None, index: IndexFacts, *, rows: int, target: float, grown: float) -> list[Finding]:
    """Return whether *profile* still tells how to search *rows* records by *index* for a recall of *target*.

    The mean that was measured counts, not its lower bound: tuning that reached no more has said so.
    """
    command = f"media-gateway tune --target {target:g} --backend postgres"
    if profile is None:
        seen = f"searches of {rows:,} records by {index.name} were never tuned"
        return [UNTUNED.found(seen, command, fix="tune", subject=index.name)]
    day = f"{profile.measured_at:%Y-%m-%d}"
    if profile.recall < target:
        return [
            BELOW.found(
                f"a recall of {profile.recall:.3f} (at least {profile.recall_low:.3f}) was measured on {day} with "
                f"ef_search {profile.ef_search}; the target is {target:g}",
                command,
                fix="tune",
                subject=index.name,
            )
        ]
    if rows >= grown * max(1, profile.rows):
        seen = f"searches were tuned on {day} for {profile.rows:,} records, and there are {rows:,}"
        return [OUTGROWN.found(seen, command, fix="tune", subject=index.name)]
    return []


def _judged_width(profile: Profile, setting: str, place: str, width: int) -> list[Finding]:
    if width >= profile.ef_search:
        return []
    return [
        NARROW.found(
            f"ALTER {place} has set {setting} to {width}, and tuning found that {profile.ef_search} is needed",
            f"ALTER {place} SET {setting} = {profile.ef_search}",
        )
    ]


def _profile(row: tuple[Any, ...]) -> Profile:
    ef_search, recall, recall_low, target, rows, measured_at = row
    return Profile(
        ef_search=ef_search,
        recall=recall,
        recall_low=recall_low,
        target=target,
        rows=rows,
        measured_at=measured_at,
    )
