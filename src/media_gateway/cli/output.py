"""What the commands print: tables for people, JSON for programs, and sentences on stderr."""

import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson
import typer

if TYPE_CHECKING:
    from media_gateway.models import Hit

_PIPE_WIDTH: Final = 160
"""Columns of a table that goes into a file or another program, where nobody wants lines to be cut."""


def clean(text: str) -> str:
    """Return *text* in one line without control characters, which a terminal would obey."""
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)


def note(text: str) -> None:
    """Print a sentence on stderr, above a progress bar that is being shown there."""
    # Not typer.echo, which writes past the bar to the terminal.
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


def fail(error: Exception) -> None:
    """Print what went wrong as one sentence on stderr."""
    note(f"Error: {error}")


def print_json(value: object) -> None:
    """Print *value* as JSON, the only thing on stdout."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n")


def hit_as_json(hit: "Hit") -> dict[str, Any]:
    """Return what programs get of a hit; title and media type are null where the record has none.

    Hits of a search with words tell what they matched, and those of a hybrid search what they are ordered by.
    """
    shown: dict[str, Any] = {
        "key": hit.key,
        "score": hit.score,
        "title": _text(hit.metadata, "title"),
        "media_type": _text(hit.metadata, "media_type"),
    }
    if hit.matched is not None:
        shown["matched"] = hit.matched
    if hit.rank_score is not None:
        shown["rank_score"] = hit.rank_score
    return shown


def print_hits(hits: Sequence["Hit"]) -> None:
    """Print a table: rank, score, title, year, type and key of each hit, and by what it was found where that differs."""
    is_hybrid = any(hit.rank_score is not None for hit in hits)
    rows = [
        (
            str(rank),
            f"{hit.score:.3f}",
            _text(hit.metadata, "title") or "",
            (_text(hit.metadata, "release_date") or "")[:4],
            _text(hit.metadata, "media_type") or "",
            *((hit.matched or "",) if is_hybrid else ()),
            hit.key,
        )
        for rank, hit in enumerate(hits, start=1)
    ]
    header = ("#", "score", "title", "year", "type", *(("found by",) if is_hybrid else ()), "key")
    print_table(header, rows, right=("#", "score"))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print *rows* under *header*; the columns named in *right* stand at the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in header:
        is_key = name == "key"
        table.add_column(
            name, justify="right" if name in right else "left", no_wrap=is_key, overflow="ignore" if is_key else "fold"
        )
    for row in rows:
        # Text objects, since a title such as "[REC]" must not be taken for markup.
        table.add_row(*(Text(clean(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False).print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print *facts*, a line each: its name and its value."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        typer.echo(f"{name:<{width}}  {clean(_written(value))}")


def size(count: int) -> str:
    """Return a number of bytes as people read it: 1,536 is "1.5 KiB"."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:  # noqa: PLR2004  the units are powers of 1024
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} GiB"


def _written(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _text(metadata: Mapping[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    return value if isinstance(value, str) else None


def moment(seconds: float) -> str:
    """Return Unix *seconds* as an ISO time in UTC, to the millisecond."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
