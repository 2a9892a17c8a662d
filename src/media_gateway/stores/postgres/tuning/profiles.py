"""The profiles in the table `content_search_profiles`: what was measured, kept as history; the latest one counts."""

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg import AsyncConnection

from media_gateway.json_values import Json, canonical_text
from media_gateway.models import TunedClass, TuningReport
from media_gateway.stores.postgres.tuning.knobs import UNTUNED, SearchKnobs

_LEAST_FACTOR = 1.25
"""The filters measured have no relation to the vectors, and those of people may have: a quarter more candidates is kept for
them. On 100,000 rows whose ratings follow the vectors, every filter that the index answered reached .957 so; with twice k, which was
kept before, .967, for half as much time again."""

INSERT: LiteralString = """
INSERT INTO content_search_profiles (index_name, index_kind, table_rows, k, target, queries, queries_from, ef_search,
    recall, recall_low, recall_high, walk_ratio, classes)
VALUES (%(index_name)s, %(index_kind)s, %(table_rows)s, %(k)s, %(target)s, %(queries)s, %(queries_from)s, %(ef_search)s,
    %(recall)s, %(recall_low)s, %(recall_high)s, %(walk_ratio)s, %(classes)s::text::jsonb)
"""


async def tuned_width(connection: AsyncConnection[Any]) -> int:
    """Return the width that new sessions search with: the latest profile's, of whatever index, else that of `UNTUNED`.

    A search that needs another width says so in its own statement, so this one need not be right for all.
    """
    cursor = await connection.execute("SELECT has_table_privilege(to_regclass('content_search_profiles'), 'SELECT')")
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return UNTUNED.ef_search
    cursor = await connection.execute("SELECT ef_search FROM content_search_profiles ORDER BY id DESC LIMIT 1")
    row = await cursor.fetchone()
    return UNTUNED.ef_search if row is None else int(row[0])


def knobs_from(row: Sequence[Any]) -> SearchKnobs:
    """Return what the row of the statement `latest_profile` says."""
    ef_search, k, walk_ratio, classes, measured_at = row
    return SearchKnobs(
        ef_search=ef_search,
        k=k,
        walk_ratio=float(walk_ratio),
        factors=tuple((float(one["least_share"]), float(one["factor"])) for one in classes),
        measured_at=measured_at,
    )


def knobs_of(classes: Sequence[TunedClass], walk_ratio: float, k: int) -> SearchKnobs:
    """Return what *classes* measured for the best *k* come to; the first of them is the search without a filter.

    Each counts for filters down to the next smaller share that was measured, where more candidates are needed.
    """
    filtered = sorted(classes[1:], key=lambda one: -one.share)
    factors: list[tuple[float, float]] = []
    largest = _LEAST_FACTOR
    for one in filtered:
        # What a filter that passes more needs, one that passes less needs too.
        largest = max(largest, one.factor)
        factors.append((one.share, largest))
    factors.append((0.0, largest))
    return SearchKnobs(ef_search=classes[0].ef_search, factors=tuple(factors), walk_ratio=walk_ratio, k=k)


def row_of(report: TuningReport, knobs: SearchKnobs, kind: str) -> dict[str, Any]:
    """Return the values of `INSERT` that keep *report*."""
    first = report.classes[0]
    measured = {one.share: one for one in report.classes[1:]}
    classes: list[Json] = []
    for share, factor in knobs.factors:
        entry: dict[str, Json] = {"least_share": share, "factor": factor}
        one = measured.get(share)
        if one is not None:
            entry.update(recall=one.recall, recall_low=one.recall_low, recall_high=one.recall_high, p50_ms=one.p50_ms)
        classes.append(entry)
    return {
        "index_name": report.index,
        "index_kind": kind,
        "table_rows": report.rows,
        "k": report.k,
        "target": report.target,
        "queries": report.sample,
        "queries_from": report.queries_from,
        "ef_search": first.ef_search,
        "recall": first.recall,
        "recall_low": first.recall_low,
        "recall_high": first.recall_high,
        "walk_ratio": knobs.walk_ratio,
        "classes": canonical_text(classes),
    }
