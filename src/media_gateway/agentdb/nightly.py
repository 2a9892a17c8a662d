"""The nightly run: discover causal edges, consolidate episodes into skills, prune, and report what changed.

What is to be done is found first and done then, in one transaction: a run that is killed leaves nothing of itself. A
dry run stops in between and reports the same numbers.
"""

import sqlite3
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from media_gateway.agentdb import causal, consolidation, episode_rows, skill_rows
from media_gateway.agentdb.causal import Discovery
from media_gateway.agentdb.consolidation import Consolidation, ConsolidationRules
from media_gateway.agentdb.context import DAY
from media_gateway.agentdb.skills import Skills
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import checked_number, checked_whole, json_text, vector_of
from media_gateway.models import Matrix
from media_gateway.vector_math import cosine

_SAME: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class NightlyRules:
    """What a run looks for.

    Edges are looked for in the last *window_days*, which pruning leaves whole: it takes the failures away. One needs
    *min_pairs* pairs of its second task, *min_group* of them with and without its first, a confidence of
    *min_confidence* and an uplift of *min_uplift* either way. Edges below *keep_confidence*, or not confirmed for
    *edge_days*, are pruned; episodes and skills by the rules of `Episodes.prune` and `Skills.prune`.
    """

    window_days: float = episode_rows.PRUNE_AFTER_DAYS
    min_pairs: int = 30
    min_group: int = 10
    min_confidence: float = 0.95
    min_uplift: float = 0.05
    keep_confidence: float = 0.6
    edge_days: float = 90.0
    consolidation: ConsolidationRules = field(default_factory=ConsolidationRules)

    def checked(self) -> "NightlyRules":
        """Return these rules, or raise InvalidInputError naming the one that cannot be used."""
        checked_number(self.window_days, "window_days", least=0)
        checked_whole(self.min_pairs, "min_pairs", least=2)
        checked_whole(self.min_group, "min_group", least=2)
        checked_number(self.min_confidence, "min_confidence", least=0, most=1)
        checked_number(self.keep_confidence, "keep_confidence", least=0, most=1)
        checked_number(self.min_uplift, "min_uplift", least=0)
        checked_number(self.edge_days, "edge_days", least=0)
        self.consolidation.checked()
        return self


@dataclass(frozen=True, kw_only=True)
class NightlyReport:
    """What a run changed, or with *dry_run* would have: counts of rows. The means are over all edges afterwards."""

    dry_run: bool
    pairs: int
    edges_discovered: int
    edges_updated: int
    edges_pruned: int
    skills_created: int
    skills_updated: int
    skills_pruned: int
    episodes_pruned: int
    edges: int
    avg_uplift: float
    avg_confidence: float


@dataclass(frozen=True, kw_only=True)
class EdgeChange:
    """An edge to be written: a new one when *id* is None, else what that one becomes."""

    id: int | None
    discovery: Discovery
    similarity: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a run would do."""

    pairs: int
    edges: list[EdgeChange]
    skills: Consolidation
    gone_edges: list[int]
    gone_episodes: list[int]
    gone_skills: list[int]
    edges_after: int
    avg_uplift: float
    avg_confidence: float

    def report(self, *, dry_run: bool) -> NightlyReport:
        """Return the numbers of this plan."""
        return NightlyReport(
            dry_run=dry_run,
            pairs=self.pairs,
            edges_discovered=sum(change.id is None for change in self.edges),
            edges_updated=sum(change.id is not None for change in self.edges),
            edges_pruned=len(self.gone_edges),
            skills_created=len(self.skills.created),
            skills_updated=len(self.skills.updated),
            skills_pruned=len(self.gone_skills),
            episodes_pruned=len(self.gone_episodes),
            edges=self.edges_after,
            avg_uplift=self.avg_uplift,
            avg_confidence=self.avg_confidence,
        )


def plan(connection: sqlite3.Connection, rules: NightlyRules, now: int) -> Plan:
    """Return what a run would do at the time *now*; nothing is written."""
    since = int(now - rules.window_days * DAY)
    pairs = connection.execute(statement("episode_pairs"), (since, causal.LONGEST_GAP)).fetchall()
    found = causal.discover(pairs, min_pairs=rules.min_pairs, min_group=rules.min_group)
    known = {row[1]: row for row in connection.execute(statement("edge_discovered"), (causal.METHOD,))}
    edges, gone = _edge_changes(connection, found, known, rules, now)
    made = consolidation.plan(connection, rules.consolidation, now)
    touched = {update.id for update in made.updated}
    skill_values = skill_rows.prune_values(
        now, skill_rows.PRUNE_USES, skill_rows.PRUNE_SUCCESS_RATE, skill_rows.PRUNE_AFTER_DAYS
    )
    episode_values = episode_rows.prune_values(
        now, episode_rows.PRUNE_BELOW, episode_rows.PRUNE_AFTER_DAYS, episode_rows.KEPT_PER_TASK
    )
    count, uplift, confidence = _means_after(connection, edges, gone)
    return Plan(
        pairs=len(pairs),
        edges=edges,
        skills=made,
        gone_edges=gone,
        gone_episodes=episode_rows.prunable(connection, episode_values),
        gone_skills=[key for key in skill_rows.prunable(connection, skill_values) if key not in touched],
        edges_after=count,
        avg_uplift=uplift,
        avg_confidence=confidence,
    )


def _edge_changes(
    connection: sqlite3.Connection, found: list[Discovery], known: dict[str, Any], rules: NightlyRules, now: int
) -> tuple[list[EdgeChange], list[int]]:
    """Return the edges to be written, and the ids of those to be removed; none is in both."""
    changes = [change for one in found if (change := _change(connection, one, known, rules)) is not None]
    weak = {
        change.id
        for change in changes
        if change.id is not None and change.discovery.estimate.confidence < rules.keep_confidence
    }
    confirmed = {known[one.mechanism][0] for one in found if one.mechanism in known and _is_shown(one, rules)}
    written = {change.id for change in changes if change.id is not None} - weak
    gone = {key for key in _prunable_edges(connection, rules, now) if key not in confirmed | written}
    gone |= weak
    return [change for change in changes if change.id not in gone], sorted(gone)


def carry_out(
    connection: sqlite3.Connection, planned: Plan, store: Skills, vectors: dict[str, Matrix], now: int
) -> NightlyReport:
    """Do what was *planned* inside a transaction that is open, and report what changed by counting rows.

    *vectors* is that of `consolidation.carry_out`, whose error it raises.
    """
    new = [change for change in planned.edges if change.id is None]
    old = [change for change in planned.edges if change.id is not None]
    connection.executemany(statement("edge_add"), [_new_row(change, now) for change in new])
    updated = connection.executemany(statement("edge_change"), [_changed_row(change, now) for change in old]).rowcount
    created, brought_up = consolidation.carry_out(connection, planned.skills, store, vectors)
    report = planned.report(dry_run=False)
    return replace(
        report,
        edges_discovered=len(new),
        edges_updated=max(updated, 0),
        skills_created=created,
        skills_updated=brought_up,
        skills_pruned=skill_rows.remove(connection, planned.gone_skills),
        episodes_pruned=episode_rows.remove(connection, planned.gone_episodes),
        edges_pruned=_remove_edges(connection, planned.gone_edges),
    )


def _is_shown(one: Discovery, rules: NightlyRules) -> bool:
    estimate = one.estimate
    return estimate.confidence >= rules.min_confidence and abs(estimate.uplift) >= rules.min_uplift


def _change(
    connection: sqlite3.Connection, one: Discovery, known: dict[str, Any], rules: NightlyRules
) -> EdgeChange | None:
    """Return what is to be written for a discovery; None when it shows nothing, or nothing new.

    An edge that is there follows its estimate also where that has become weak; pruning sees to it later.
    """
    row = known.get(one.mechanism)
    if row is None:
        if not _is_shown(one, rules):
            return None
        return EdgeChange(id=None, discovery=one, similarity=_similarity(connection, one))
    estimate = one.estimate
    same = (
        row[2] is not None
        and abs(row[2] - estimate.uplift) < _SAME
        and abs((row[3] or 0.0) - estimate.confidence) < _SAME
        and row[4] == estimate.treated + estimate.untreated
    )
    return None if same else EdgeChange(id=row[0], discovery=one, similarity=_similarity(connection, one))


def _similarity(connection: sqlite3.Connection, one: Discovery) -> float:
    found = [connection.execute(statement("episode_vector"), (key,)).fetchone() for key in (one.from_id, one.to_id)]
    first, second = (None if row is None else vector_of(row[0]) for row in found)
    if first is None or second is None or len(first) != len(second):
        return 0.0
    return cosine(first, second) if np.isfinite(first).all() and np.isfinite(second).all() else 0.0


def _metadata(one: Discovery) -> str | None:
    estimate = one.estimate
    facts = {
        "method": causal.METHOD,
        "fromTask": one.from_task,
        "toTask": one.to_task,
        "standardError": estimate.standard_error,
        "naiveDifference": estimate.naive,
        "treated": estimate.treated,
        "untreated": estimate.untreated,
    }
    return json_text(facts, field="metadata")


def _confounding(one: Discovery) -> float:
    """Return how far the plain difference of means is off, in proportion to the larger of both, in [0, 1]."""
    naive, uplift = one.estimate.naive, one.estimate.uplift
    largest = max(abs(naive), abs(uplift))
    return min(abs(naive - uplift) / largest, 1.0) if largest > 0 else 0.0


def _new_row(change: EdgeChange, now: int) -> tuple[Any, ...]:
    one, estimate = change.discovery, change.discovery.estimate
    count = estimate.treated + estimate.untreated
    evidence = json_text(one.evidence, field="evidence_ids")
    return (
        *(one.from_id, "episode", one.to_id, "episode", change.similarity, estimate.uplift, estimate.confidence, count),
        *(evidence, None, _confounding(one), one.mechanism, now, now, now, _metadata(one)),
    )


def _changed_row(change: EdgeChange, now: int) -> tuple[Any, ...]:
    one, estimate = change.discovery, change.discovery.estimate
    count = estimate.treated + estimate.untreated
    evidence = json_text(one.evidence, field="evidence_ids")
    return (
        *(one.from_id, one.to_id, change.similarity, estimate.uplift, estimate.confidence, count, evidence, now),
        *(_metadata(one), change.id),
    )


def _prunable_edges(connection: sqlite3.Connection, rules: NightlyRules, now: int) -> list[int]:
    values = {"min_confidence": rules.keep_confidence, "before": int(now - rules.edge_days * DAY)}
    return [row[0] for row in connection.execute(statement("edge_prunable"), values)]


def _remove_edges(connection: sqlite3.Connection, ids: list[int]) -> int:
    return max(connection.executemany(statement("edge_remove"), [(key,) for key in ids]).rowcount, 0)


def _means_after(connection: sqlite3.Connection, edges: list[EdgeChange], gone: list[int]) -> tuple[int, float, float]:
    removed = set(gone)
    stored = connection.execute(statement("edge_page"), (0, -1)).fetchall()
    rows: dict[int, tuple[float | None, float | None]] = {
        row[0]: (row[7], row[6]) for row in stored if row[0] not in removed
    }
    for place, change in enumerate(edges):
        key = -1 - place if change.id is None else change.id
        rows[key] = (change.discovery.estimate.confidence, change.discovery.estimate.uplift)
    uplifts = [abs(row[1]) for row in rows.values() if row[1] is not None]
    confidences = [row[0] for row in rows.values() if row[0] is not None]
    return (
        len(rows),
        sum(uplifts) / len(uplifts) if uplifts else 0.0,
        sum(confidences) / len(confidences) if confidences else 0.0,
    )
