"""`stats`: how large a collection is and what it is made of."""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from media_gateway.cli.options import BackendOption, JsonOption, examples, place, read_settings
from media_gateway.cli.output import note, print_facts, print_json, size
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.models import StoreStats
    from media_gateway.settings import Settings

STATS_EXAMPLES = examples("media-gateway stats", "media-gateway stats --backend postgres --json")


def stats(context: typer.Context, backend: BackendOption = None, as_json: JsonOption = False) -> None:
    """Tell the count, the dimension, the model, the sizes and the index of the collection."""
    settings = read_settings(context, backend)
    found = run(lambda: _stats(settings))
    if as_json:
        print_json(_as_json(found))
        note(f"read {place(settings)}")
        return
    facts: dict[str, object] = {
        "backend": found.backend,
        "place": place(settings),
        "count": found.count,
        "dimension": found.dimension,
        "model": found.model,
        "table": size(found.table_bytes),
        "all indexes": size(found.index_bytes),
        "index in use": found.index or "none: searches compare with everything",
    }
    facts.update((name, value) for name, value in found.details.items() if not isinstance(value, dict | list))
    print_facts(facts)
    if not found.count:
        note("nothing is loaded there yet; try: media-gateway load sample")


def _as_json(found: "StoreStats") -> dict[str, Any]:
    return {
        "backend": found.backend,
        "count": found.count,
        "dimension": found.dimension,
        "model": found.model,
        "table_bytes": found.table_bytes,
        "index_bytes": found.index_bytes,
        "index": found.index,
        "details": dict(found.details),
    }


async def _stats(settings: "Settings") -> "StoreStats":
    from media_gateway.errors import SchemaError
    from media_gateway.wiring import open_collection, search_log_table

    store = await open_collection(settings)
    try:
        found = await store.stats()
        log = search_log_table(store)
        if log is None:
            return found
        # A role that may read the collection need not be let in on who searched for what.
        with contextlib.suppress(SchemaError):
            found = replace(found, details={**found.details, "logged_searches": await log.count()})
        return found
    finally:
        await store.aclose()
