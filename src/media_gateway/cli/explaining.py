"""How a store answered a search, for `search --explain`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from media_gateway.cli.output import print_facts

if TYPE_CHECKING:
    from media_gateway.contracts import VectorStore
    from media_gateway.models import Explanation, SearchRequest

_WAYS = {
    "scan": "everything that passes is compared",
    "index": "the index is walked",
    "count": "what passes is counted, then compared or found by the index",
}


async def explained(store: "VectorStore", request: "SearchRequest") -> "Explanation":
    """Return how *store* answers *request*; raises UnsupportedError when it cannot tell."""
    from media_gateway.contracts import Explains
    from media_gateway.errors import UnsupportedError

    if not isinstance(store, Explains):
        raise UnsupportedError(
            "--explain is not known to this store; leave it out", feature="explain", store=type(store).__name__
        )
    return await store.explain(request)


def print_explanation(found: "Explanation") -> None:
    """Print *found*: facts in lines, then the statement and the server's plan of it."""
    facts: dict[str, object] = {
        "way": f"{found.way}: {_WAYS[found.way]}",
        "why": found.reason,
        "rows that pass": _rows(found),
        "index pays from": None if found.turn is None else f"{found.turn:,} rows",
        "index": found.index,
        "ef_search": found.ef_search,
        "candidates": found.candidates,
        "exact": found.exact,
        "hits": found.hits,
        "took": f"{found.milliseconds:.2f} ms",
    }
    typer.echo()
    print_facts({name: value for name, value in facts.items() if value is not None})
    for title, lines in (("statement", (found.statement or "").splitlines()), ("plan", found.plan)):
        if lines:
            typer.echo(f"{title}:")
            for line in lines:
                typer.echo(f"  {line}")


def explanation_as_json(found: "Explanation") -> dict[str, Any]:
    """Return what programs get of *found*."""
    return asdict(found)


def _rows(found: "Explanation") -> str | None:
    if found.rows is None:
        return None
    low, high = found.rows
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
