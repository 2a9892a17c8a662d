"""What the `transfer` commands print of a plan, of what was done, and of how two ends compare."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import typer

from media_gateway.cli.output import note, print_facts, print_json, print_table, size

if TYPE_CHECKING:
    from media_gateway.cli.transferring import Transferred, Verified, Wish
    from media_gateway.transfer.plan import TransferPlan


def print_plan(found: "TransferPlan", *, as_json: bool) -> None:
    """Print what a transfer will do; exit with 1 where it cannot work."""
    if as_json:
        print_json({**asdict(found), "possible": not found.refusals})
    else:
        keys = "key" if found.overlap.keys == 1 else "keys"
        disk = "-" if found.disk_needed is None else f"about {size(found.disk_needed)}"
        print_facts(
            {
                "from": found.source,
                "to": found.target,
                "vectors of": found.space,
                "records": found.count,
                "in the target": found.target_count,
                "in both": f"{found.overlap.keys:,} {keys}, {found.overlap.identical:,} of them with the same record",
                "will be written": found.written,
                "disk needed": disk,
                "disk free": None if found.disk_free is None else size(found.disk_free),
                "time": _duration(found.seconds),
            }
        )
    for refusal in found.refusals:
        note(f"refused: {refusal}")
    if found.refusals:
        sys.exit(1)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return "less than a second" if seconds < 1 else f"about {seconds:,.0f} s"


def transferred_as_json(done: "Transferred", wish: "Wish") -> dict[str, Any]:
    """Return what programs get of a transfer."""
    return {
        "from": wish.source.name,
        "to": wish.target.name,
        **asdict(done.copied),
        "seconds": done.seconds,
        "journal": None if done.journal is None else str(done.journal),
        "went_on": done.went_on,
        "was_finished": done.was_finished,
    }


def sentence(done: "Transferred", wish: "Wish") -> str:
    """Return what people get of it."""
    copied = done.copied
    if done.was_finished:
        return (
            f"this transfer of {copied.read:,} records was finished before, nothing was done; remove {done.journal} to "
            "begin anew"
        )
    counts = f"{copied.written:,} written, {copied.kept:,} kept as they were"
    return f"{copied.read:,} records in {done.seconds:.1f} s: {counts}, from {wish.source.name} to {wish.target.name}"


def report_of(found: "Verified") -> dict[str, Any]:
    """Return the report of a comparison as JSON has it."""
    comparison = found.comparison
    return {
        "equal": found.is_equal,
        "count_from": comparison.first.count,
        "count_to": comparison.second.count,
        "digest_from": comparison.first.text,
        "digest_to": comparison.second.text,
        "vectors_from": found.spaces[0],
        "vectors_to": found.spaces[1],
        "differing": {"missing": 0, "extra": 0, "changed": 0, "duplicate": 0, **comparison.kinds},
        "respelled": comparison.respelled,
        "differences": [asdict(difference) for difference in comparison.differences],
        "neighbours": None if found.neighbours is None else asdict(found.neighbours),
        "seconds": found.seconds,
    }


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write *report* to *path*, whole or not at all."""
    from media_gateway.transfer.replacing import written_whole

    with written_whole(path) as file:
        file.write(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")


def print_verified(found: "Verified", source: str, target: str) -> None:
    """Print how two ends compare, and what differs."""
    comparison, near = found.comparison, found.neighbours
    facts: dict[str, object] = {
        "from": source,
        "to": target,
        "records": f"{comparison.first.count:,} and {comparison.second.count:,}",
        "digest from": comparison.first.text,
        "digest to": comparison.second.text,
    }
    if found.spaces[0] != found.spaces[1]:
        facts["vectors of"] = " and ".join(found.spaces)
    if comparison.respelled:
        facts["respelled"] = f"{comparison.respelled:,} records have equal metadata in other digits"
    if near is not None:
        facts["searches"] = (
            f"{near.queries}: overlap@{near.k} {near.overlap:.3f} (least {near.least_overlap:.2f}), rank agreement "
            f"{near.rank_agreement:.3f}, score difference {near.score_difference:.1e}"
        )
    facts["result"] = "equal" if found.is_equal else "DIFFERENT"
    print_facts(facts)
    if comparison.kinds:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(comparison.kinds.items()))
        named = len(comparison.differences)
        if not named:
            typer.echo(counts)
            return
        typer.echo(f"{counts}:" if named == sum(comparison.kinds.values()) else f"{counts}; the first {named}:")
        rows = [
            (one.key, one.kind, ", ".join(one.parts), "" if not one.numbers else f"{one.numbers:,}")
            for one in comparison.differences
        ]
        print_table(("key", "difference", "in", "numbers"), rows, right=("numbers",))
