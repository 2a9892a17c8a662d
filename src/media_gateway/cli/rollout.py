"""`rollout`: shift reads from memory to PostgreSQL by percent while the application runs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from media_gateway.cli.options import JsonOption, examples, read_settings
from media_gateway.cli.output import note, print_facts, print_json, print_table
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from media_gateway.steering.changes import Change

_SET_EXAMPLES = examples(
    "media-gateway rollout set off --reason 'the move begins'",
    "media-gateway rollout set shadow",
    "media-gateway rollout set canary 25",
    "media-gateway rollout set on --json",
    "media-gateway rollout set on --alone",
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Move from memory to PostgreSQL step by step while the application runs: off, shadow, canary, on.",
)

ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the history.", show_default=False)]


@app.command(epilog=examples("media-gateway rollout status", "media-gateway rollout status --json"))
def status(context: typer.Context, as_json: JsonOption = False) -> None:
    """Tell which store answers and which is the truth, how far the copy is, and what the guard saw."""
    from media_gateway.steering.facts import read_status

    settings = read_settings(context)
    found = run(lambda: read_status(settings))
    if as_json:
        print_json(found)
        return
    print_facts(_status_lines(found))


@app.command("set", epilog=_SET_EXAMPLES)
def set_state(
    context: typer.Context,
    mode: Annotated[str, typer.Argument(metavar="off|shadow|canary|on", help="Who answers.", show_default=False)],
    percent: Annotated[
        float | None,
        typer.Argument(metavar="[PERCENT]", help="Of canary: the share of users on PostgreSQL.", show_default=False),
    ] = None,
    reason: ReasonOption = "",
    discard: Annotated[
        bool,
        typer.Option("--discard", help="At the first state: let what only the store that follows has be lost."),
    ] = False,
    alone: Annotated[
        bool, typer.Option("--alone", help="With on: end the move; memory follows no longer, there is no way back.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Set the mode; what the guard turned back is set anew by this too."""
    from media_gateway.steering.changes import Wish, change

    settings = read_settings(context)
    wish = Wish(mode=mode, percent=percent, reason=reason, may_discard=discard, alone=alone)
    _print_change(run(lambda: change(settings, wish)), as_json=as_json)


@app.command(epilog=examples("media-gateway rollout shadow", "media-gateway rollout shadow --limit 5 --json"))
def shadow(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Rows at most, the latest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Tell how the answers of both stores differed: overlap, scores, latency; a row a minute, the present one first."""
    from media_gateway.steering.facts import read_comparisons

    settings = read_settings(context)
    found = run(lambda: read_comparisons(settings, limit))
    if as_json:
        print_json(found)
        return
    if not found:
        note("nothing was compared yet; searches are compared under shadow, and in part under canary and on")
        return
    names = ("at", "compared", "dropped", "failed", "overlap_mean", "overlap_lowest", "score_difference_largest")
    latencies = ("old_p50_ms", "old_p95_ms", "new_p50_ms", "new_p95_ms")
    rows = [[_cell(row[name]) for name in (*names, *latencies)] for row in found]
    header = ("at", "compared", "dropped", "failed", "overlap", "lowest", "scores", "old p50", "p95", "new p50", "p95")
    print_table(header, rows, right=header[1:])


@app.command(epilog=examples("media-gateway rollout history", "media-gateway rollout history --limit 5 --json"))
def history(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Entries at most, the latest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Tell who set which state, when, from what, and why."""
    from media_gateway.steering.facts import read_history

    settings = read_settings(context)
    entries, problem = run(lambda: read_history(settings, limit))
    if problem is not None:
        note(f"from the file on this machine alone: {problem}")
    if as_json:
        print_json(entries)
        return
    rows = [
        [str(entry["epoch"]), entry["at"], entry["who"], entry["from"] or "-", entry["to"], entry["why"]]
        for entry in entries
    ]
    print_table(("epoch", "at", "who", "from", "to", "why"), rows, right=("epoch",))


def _print_change(changed: "Change", *, as_json: bool) -> None:
    if as_json:
        print_json(changed.as_json())
    else:
        typer.echo(changed.sentence)
    for remark in changed.remarks:
        note(remark)


def _status_lines(found: "Mapping[str, Any]") -> dict[str, object]:
    service: dict[str, Any] | None = found["service"]
    lines: dict[str, object] = {
        "state": found["state"],
        "epoch": found["epoch"],
        "set": _set_by(found),
        "guard": _guard(found),
        "postgres": found["postgres"],
        "service": _service(service),
    }
    if service is not None and not service.get("alone"):
        lines |= {
            "reads": service["reads"],
            "truth": service["truth"],
            "copy": "complete" if service["is_complete"] else f"under way, {service['copied']:,} looked at",
            "waiting": service["waiting"],
            "refused": ", ".join(service["stuck"]) or None,
            "last failure": service["failure"],
            "memory stood in": f"{service['fallbacks']:,} times",
        }
        if verified := service["verified"]:
            lines["compared"] = f"{verified['compared']:,} records, {verified['differing']:,} differ"
    return lines


def _service(service: "Mapping[str, Any] | None") -> str:
    if service is None:
        return "no process serves"
    alone = service.get("alone")
    if not alone:
        return f"process {service['pid']}, epoch {service['epoch']}"
    name = "PostgreSQL" if alone == "postgres" else "memory"
    told = f"process {service['pid']} serves from {name} alone"
    return f"{told}: {service['failure']}" if service["failure"] else told


def _set_by(found: "Mapping[str, Any]") -> str | None:
    if not found["at"]:
        return None
    return f"{found['at']} by {found['who']}" + (f": {found['why']}" if found["why"] else "")


def _guard(found: "Mapping[str, Any]") -> str:
    """Return what the guard decided, and what it sees of PostgreSQL's answers where somebody serves."""
    if found["tripped"]:
        return f"{found['guard']}; memory answers until you set a state again"
    figures: dict[str, Any] | None = found["service"] and found["service"]["guard"]
    if not figures or not figures["searches"]:
        return found["guard"]
    overlap = "" if figures["overlap"] is None else f", overlap {figures['overlap']:.2f}"
    return (
        f"{found['guard']}; PostgreSQL lately: {figures['searches']:,} searches, {figures['failed']:,} failed, "
        f"p95 {figures['p95_ms']:.1f} ms{overlap}"
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
