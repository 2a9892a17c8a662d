"""Searches as they are really run: whether they walk the index, find enough, and find it in memory."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString, cast

from media_gateway.contracts import Explains
from media_gateway.database.statements import trusted
from media_gateway.database.vectors import register_vectors
from media_gateway.errors import StoreTimeoutError
from media_gateway.models import Explanation, SearchRequest, Vector
from media_gateway.monitoring.diagnosis.findings import Finding, Kind
from media_gateway.monitoring.diagnosis.parts import CollectionFacts, IndexFacts
from media_gateway.monitoring.diagnosis.view import ServerView

SEQUENTIAL: Final = Kind(
    code="sequential_scan",
    severity="error",
    matters="every search reads the whole table, which takes many times longer the larger it is",
)
SLOW: Final = Kind(
    code="search_timeout", severity="error", matters="searches fail when they reach POSTGRES_STATEMENT_TIMEOUT"
)
COLD: Final = Kind(
    code="cache_cold",
    severity="warning",
    matters="the first searches read hundreds of pages from the disk, and take tens of times longer",
)
KINDS: Final = (SEQUENTIAL, SLOW, COLD)

_SAMPLED: Final = 3
_VECTORS: Final[LiteralString] = """
SELECT vector FROM content_vectors TABLESAMPLE SYSTEM (
    (SELECT least(100, greatest(0.01, 3000 / greatest(1, reltuples))) FROM pg_class WHERE oid = 'content_vectors'::regclass)
) LIMIT %s
"""
_FIRST: Final[LiteralString] = "SELECT vector FROM content_vectors LIMIT %s"
_SWITCHES: Final[LiteralString] = """
SELECT name FROM pg_settings WHERE name IN ('enable_indexscan', 'enable_sort') AND setting = 'off' ORDER BY name
"""
_BUFFERED: Final[LiteralString] = """
SELECT count(*) * current_setting('block_size')::int FROM {schema}.pg_buffercache
WHERE relfilenode = pg_relation_filenode(to_regclass(%s))
    AND reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_BUFFERCACHE: Final[LiteralString] = """
SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = 'pg_buffercache' AND has_table_privilege(to_regclass(quote_ident(nspname) || '.pg_buffercache'), 'SELECT')
"""


@dataclass(frozen=True, kw_only=True)
class PagesRead:
    """The pages of an index that searches asked for: found in shared_buffers, and fetched from outside of it."""

    found: int
    fetched: int

    @property
    def cold_share(self) -> float:
        """The share of them that was fetched."""
        asked = self.found + self.fetched
        return self.fetched / asked if asked else 0.0


async def examine(view: ServerView, facts: CollectionFacts) -> list[Finding]:
    """Run searches for some of the collection's own vectors, and return what is wrong with how they went."""
    index = facts.serving
    if index is None or view.settings.exact or facts.rows <= view.parts.searches_index:
        return []
    await register_vectors(view.connection, view.engine)
    vectors = await _some_vectors(view)
    if not vectors:
        return []
    # Before searches bring in what they need.
    cold = await _missing_share(view, index)
    store = await view.parts.open_store()
    try:
        if not isinstance(store, Explains):
            return []
        explanation = await store.explain(SearchRequest(vector=vectors[0]))
    except StoreTimeoutError as error:
        return [SLOW.found(str(error), "media-gateway search --explain; media-gateway index status")]
    finally:
        await store.aclose()
    switches = [row[0] for row in await view.rows(_SWITCHES)]
    found = judged_plan(explanation, index, switches=switches, database=view.database)
    if found or explanation.statement is None or not await _fits(view, index):
        return found
    if cold is None:
        cold = (await _pages_read(view, index, explanation.statement, vectors)).cold_share
    return judged_share(index, cold, view.limits.cold_share)


async def _some_vectors(view: ServerView) -> list[Vector]:
    for statement in (_VECTORS, _FIRST):
        cursor = await view.connection.execute(statement, [_SAMPLED], binary=True)
        rows = await cursor.fetchall()
        if rows:
            return [row[0] for row in rows]
    return []


def judged_plan(
    explanation: Explanation, index: IndexFacts, *, switches: Sequence[str], database: str
) -> list[Finding]:
    """Return whether the search went by another way than the *index* that should serve it.

    *switches* are the planner's settings that are off and should be on.
    """
    if any(f"using {index.name}" in line for line in explanation.plan):
        return []
    other = [line.strip() for line in explanation.plan if " Scan " in line]
    seen = f"a search of {explanation.milliseconds:,.0f} ms did not use {index.name}"
    if explanation.way == "scan":
        seen = f"{seen}: {explanation.reason}"
    elif other:
        seen = f"{seen}: the server chose {other[-1].removeprefix('->').strip().partition('  ')[0]}"
    if switches:
        seen = f"{seen}; {' and '.join(switches)} is off"
        reset = "; ".join(f'ALTER DATABASE "{database}" RESET {switch}' for switch in switches)
        return [SEQUENTIAL.found(seen, f"{reset}; the same for the role, and in postgresql.conf", subject=index.name)]
    return [SEQUENTIAL.found(seen, "ANALYZE content_vectors", fix="analyze", subject="content_vectors")]


async def _fits(view: ServerView, index: IndexFacts) -> bool:
    """Whether *index* finds room in shared_buffers; one that does not is read from outside in any case."""
    (buffers,) = await view.row("SELECT pg_size_bytes(current_setting('shared_buffers'))")
    return index.bytes <= view.limits.buffer_share * buffers


async def _missing_share(view: ServerView, index: IndexFacts) -> float | None:
    """Return the share of *index* that is not in shared_buffers, None where the extension that tells is not there."""
    schemas = await view.rows(_BUFFERCACHE)
    if not schemas:
        return None
    (size,) = await view.row(trusted(_BUFFERED.replace("{schema}", schemas[0][0])), [index.name])
    return 1 - min(1.0, size / max(1, index.bytes))


def judged_share(index: IndexFacts, cold: float, limit: float) -> list[Finding]:
    """Return whether too large a share of *index*, *cold*, lies outside of shared_buffers."""
    if cold <= limit:
        return []
    seen = f"{cold:.0%} of the pages of {index.name} that searches need are not in shared_buffers"
    return [COLD.found(seen, "media-gateway index warm --backend postgres", fix="prewarm", subject=index.name)]


async def _pages_read(view: ServerView, index: IndexFacts, statement: str, vectors: Sequence[Vector]) -> PagesRead:
    """Run *statement* for all but the first of *vectors*, which was searched for just now."""
    found = fetched = 0
    explain = trusted(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON, TIMING OFF) {statement}")
    for vector in vectors[1:] or vectors:
        (answer,) = await view.row(explain, {"vector": vector})
        plans = cast("list[dict[str, Any]]", json.loads(answer) if isinstance(answer, str) else answer)
        for node in _nodes(plans[0]["Plan"]):
            if node.get("Index Name") == index.name:
                found += int(node.get("Shared Hit Blocks", 0))
                fetched += int(node.get("Shared Read Blocks", 0))
    return PagesRead(found=found, fetched=fetched)


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    below: list[dict[str, Any]] = plan.get("Plans", [])
    return [plan, *(node for part in below for node in _nodes(part))]
