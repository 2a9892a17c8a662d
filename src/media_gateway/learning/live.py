"""How good what is shown is, by what is clicked: of the latest lists, from the log of events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from media_gateway.database.faults import faults_translated
from media_gateway.learning.events.table import Lend
from media_gateway.learning.interests.fusion import SOURCES
from media_gateway.learning.postgres.standing import STANDINGS

# Clicked is what the user clicked or watched within a day of its being shown. The quality of a list is its NDCG, where it
# was clicked at all; its novelty is how few users like what it shows, in bits. Sources and versions that are not the
# recommender's own come from callers, who may send any: they count together.
_FIGURES: Final = """
WITH shown AS MATERIALIZED (
    SELECT e.key, e.rank, e.list_id,
        CASE WHEN e.source = ANY(%(sources)s) THEN e.source WHEN e.source IS NOT NULL THEN 'other' END AS source,
        (SELECT number FROM interest_versions AS v WHERE v.number = e.model_version) AS model_version, EXISTS (
        SELECT FROM user_events AS c
        WHERE c.user_id = e.user_id AND c.key = e.key AND c.kind IN ('click', 'watch') AND c.id > e.id
            AND c.id < user_event_first_id(user_event_time(e.id) + interval '1 day')
    ) AS clicked
    FROM user_events AS e
    WHERE e.kind = 'exposure' AND e.id > user_event_first_id(now() - interval '7 days')
    ORDER BY e.id DESC LIMIT %(most)s
), lists AS (
    SELECT model_version, list_id, count(*) FILTER (WHERE clicked) AS clicks,
        sum(1 / log(2::numeric, rank + 1)) FILTER (WHERE clicked) AS gain
    FROM shown WHERE list_id IS NOT NULL AND rank IS NOT NULL GROUP BY 1, 2
), people AS (SELECT greatest(count(*), 1) AS count FROM interest_users)
SELECT
    (SELECT jsonb_agg(jsonb_build_array(coalesce(model_version, 0), coalesce(source, '-'), shown, clicked)) FROM (
        SELECT model_version, source, count(*) AS shown, count(*) FILTER (WHERE clicked) AS clicked FROM shown GROUP BY 1, 2
    ) AS by_source),
    (SELECT jsonb_agg(jsonb_build_array(rank, shown, clicked)) FROM (
        SELECT rank, count(*) AS shown, count(*) FILTER (WHERE clicked) AS clicked FROM shown WHERE rank <= 10 GROUP BY 1
    ) AS by_rank),
    (SELECT jsonb_agg(jsonb_build_array(coalesce(model_version, 0), lists, quality)) FROM (
        SELECT model_version, count(*) AS lists, avg(gain / (
            SELECT sum(1 / log(2::numeric, place + 1)) FROM generate_series(1, clicks) AS place
        ))::float8 AS quality
        FROM lists WHERE clicks > 0 GROUP BY 1
    ) AS by_version),
    (SELECT count(DISTINCT key) FROM shown)::float8 / greatest((SELECT count(*) FROM interest_items), 1),
    (SELECT avg(-log(2::numeric, (coalesce(i.likes, 0) + 1)::numeric / (people.count + 1)))::float8
        FROM people, shown LEFT JOIN interest_items AS i ON i.key = shown.key),
    (SELECT count(*) FROM user_events_waiting),
    (SELECT extract(epoch FROM now() - learned_at)::float8 FROM interest_state),
    (SELECT number FROM interest_versions WHERE state = 'current')
"""
_MOST: Final = 20_000
"""Exposures that are looked at, the latest: two thousand lists."""
_OWN_SOURCES: Final = [*SOURCES, *STANDINGS]


@dataclass(frozen=True, kw_only=True)
class LiveFigures:
    """Figures of the latest lists that were shown.

    *by_source* and *by_rank* have items shown and clicked, by version and source and by rank; *quality* the mean NDCG of lists that were
    clicked, by version. Sources of callers are "other", and versions that there are not 0. *coverage* is the share of all records that were shown at all, *novelty* in bits, None when nothing was.
    *waiting* events are to be learned from; *age* are the seconds since something was learned; *version* is the one in use.
    """

    by_source: Mapping[tuple[int, str], tuple[int, int]] = field(default_factory=dict[tuple[int, str], tuple[int, int]])
    by_rank: Mapping[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    quality: Mapping[int, float] = field(default_factory=dict[int, float])
    coverage: float = 0.0
    novelty: float | None = None
    waiting: int = 0
    age: float | None = None
    version: int | None = None

    def samples(self) -> dict[str, float | dict[tuple[str, ...], float]]:
        """Return them as samples of metrics, by the names of their families."""
        found: dict[str, float | dict[tuple[str, ...], float]] = {
            "learning_click_through_ratio": {
                (str(version), source): clicked / shown
                for (version, source), (shown, clicked) in self.by_source.items()
            },
            "learning_click_through_by_rank_ratio": {
                (str(rank),): clicked / shown for rank, (shown, clicked) in self.by_rank.items()
            },
            "learning_shown_ndcg_ratio": {(str(version),): value for version, value in self.quality.items()},
            "learning_coverage_ratio": self.coverage,
            "learning_waiting_rows": float(self.waiting),
        }
        if self.novelty is not None:
            found["learning_novelty_bits"] = self.novelty
        if self.age is not None:
            found["learning_model_age_seconds"] = self.age
        if self.version is not None:
            found["learning_version"] = float(self.version)
        return found


async def live_figures(lend: Lend, *, server: str) -> LiveFigures:
    """Return the figures as they are now, on a connection that *lend* gives; messages call it *server*."""
    with faults_translated(server):
        async with lend() as connection:
            cursor = await connection.execute(_FIGURES, {"most": _MOST, "sources": _OWN_SOURCES})
            row: tuple[Any, ...] | None = await cursor.fetchone()
    if row is None:
        return LiveFigures()
    by_source, by_rank, quality, coverage, novelty, waiting, age, version = row
    return LiveFigures(
        by_source={(of, source): (shown, clicked) for of, source, shown, clicked in by_source or ()},
        by_rank={rank: (shown, clicked) for rank, shown, clicked in by_rank or ()},
        quality={of: value for of, _, value in quality or ()},
        coverage=coverage,
        novelty=novelty,
        waiting=waiting,
        age=age,
        version=version,
    )
