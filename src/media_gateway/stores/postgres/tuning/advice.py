"""What would serve a collection better than a wider search: other indexes, with what is known of gain and cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection

from media_gateway.database.index_definitions import INDEX_NAMES
from media_gateway.models import IndexTrial, TunedClass

_WIDE: Final = 128
"""A width beyond which a better graph is likely to be quicker."""
_WORTH: Final = 0.85
"""A trial is worth telling of when it takes less than this part of the time of the index in use."""
_FACTS: Final = """
SELECT pg_relation_size(to_regclass(%(name)s)), pg_size_bytes(current_setting('shared_buffers')),
    (SELECT reloptions FROM pg_class WHERE oid = to_regclass(%(name)s))
"""


@dataclass(frozen=True, kw_only=True)
class IndexFacts:
    """The size of an index, that of the server's shared buffers, both in bytes, and how it was built."""

    bytes: int
    buffers: int
    m: int
    ef_construction: int
    is_halved: bool


async def index_facts(connection: AsyncConnection[Any], name: str) -> IndexFacts:
    """Return the facts of the index *name*."""
    cursor = await connection.execute(_FACTS, {"name": name})
    size, buffers, options = (await cursor.fetchone()) or (0, 0, ())
    chosen = dict(option.split("=", 1) for option in options or ())
    return IndexFacts(
        bytes=size or 0,
        buffers=buffers or 0,
        m=int(chosen.get("m", 16)),
        ef_construction=int(chosen.get("ef_construction", 64)),
        is_halved=name == INDEX_NAMES["halfvec"],
    )


def sentences(
    classes: Sequence[TunedClass], facts: IndexFacts, trials: Sequence[IndexTrial], target: float
) -> list[str]:
    """Return advice, one sentence each: by measurement where there were *trials*, else by rule, which is said."""
    said: list[str] = []
    missed = [one for one in classes if not one.reached]
    if missed and missed[0].share >= 1:
        said.append(
            f"no width reaches a recall of {target:g} for sure (the largest, {missed[0].ef_search}, gives "
            f"{missed[0].recall:.3f}): rebuild the index with a larger m and ef_construction than {facts.m} and {facts.ef_construction}"
        )
    elif missed:
        shares = ", ".join(f"{one.share:.1%}" for one in missed)
        said.append(
            f"filters that pass {shares} of the records stay below {target:g} at the most candidates tried: rebuild the index "
            f"with a larger m and ef_construction than {facts.m} and {facts.ef_construction}"
        )
    return said + (_by_trial(trials, facts) if trials else _by_rule(classes, facts))


def _by_rule(classes: Sequence[TunedClass], facts: IndexFacts) -> list[str]:
    said: list[str] = []
    if classes[0].reached and classes[0].ef_search > _WIDE:
        said.append(
            f"searches need the width {classes[0].ef_search}: an index with m = 24, ef_construction = 128 is likely to need "
            "less than half of that, for about twice the build time and a tenth more space; an estimate, "
            "which --try-indexes measures"
        )
    if not facts.is_halved and facts.buffers and facts.bytes > facts.buffers:
        said.append(
            f"the index ({facts.bytes >> 20:,} MiB) is larger than the server's shared buffers "
            f"({facts.buffers >> 20:,} MiB): a halfvec index would take about half ({facts.bytes >> 21:,} MiB); an "
            "estimate, which --try-indexes measures"
        )
    return said


def _by_trial(trials: Sequence[IndexTrial], facts: IndexFacts) -> list[str]:
    base = trials[0]
    said: list[str] = []
    for trial in trials[1:]:
        if trial.ef_search is None:
            continue
        gains: list[str] = []
        if base.ef_search is None or trial.p50_ms < _WORTH * base.p50_ms:
            gains.append(f"{trial.p50_ms:.2f} ms a search instead of {base.p50_ms:.2f}")
        if trial.index_bytes < _WORTH * base.index_bytes:
            gains.append(f"{trial.whole_index_bytes >> 20:,} MiB instead of {facts.bytes >> 20:,}")
        if gains:
            said.append(
                f"a {trial.kind} index with m = {trial.m}, ef_construction = {trial.ef_construction} gives "
                f"{' and '.join(gains)}, measured on {trial.rows:,} records; building it takes about "
                f"{max(1, round(trial.whole_build_seconds)):,} s, projected"
            )
    return said or [f"no other index tried on {base.rows:,} records is worth a rebuild"]
