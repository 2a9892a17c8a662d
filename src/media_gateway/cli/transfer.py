"""`transfer`: move a collection between stores and files, and prove that nothing was lost."""

import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from media_gateway.cli.options import JsonOption, examples, read_settings
from media_gateway.cli.output import note, print_facts, print_json, print_table, size
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.cli.transferring import Transferred, Verified, Wish
    from media_gateway.transfer.plan import TransferPlan

app = typer.Typer(
    no_args_is_help=True,
    help="Move a collection between memory, PostgreSQL and files, and prove that nothing was lost.",
    rich_markup_mode=None,
)

_PLAN_EXAMPLES = examples(
    "media-gateway transfer plan --from memory:data/memory.snap --to postgres",
    "media-gateway transfer plan --from export.jsonl --model text-embedding-3-small --to postgres --json",
)
_RUN_EXAMPLES = examples(
    "media-gateway transfer run --from memory:data/memory.snap --to postgres",
    "media-gateway transfer run --from postgres --to films.parquet",
    "media-gateway transfer run --from films.parquet --to postgres --resumable --conflicts skip",
    "media-gateway transfer run --from postgres --to memory:copy.snap --dry-run",
)
_VERIFY_EXAMPLES = examples(
    "media-gateway transfer verify --from memory:data/memory.snap --to postgres",
    "media-gateway transfer verify --from postgres --to films.parquet --json report.json",
)


class ConflictsChoice(StrEnum):
    """What becomes of a record whose key the target has already."""

    fail = "fail"
    skip = "skip"
    overwrite = "overwrite"


def _conflicts(text: str) -> ConflictsChoice:
    from media_gateway.errors import SettingsError, shown

    if text not in list(ConflictsChoice):
        raise SettingsError(
            f"--conflicts is {shown(text)}; expected 'fail', 'skip' or 'overwrite'", field="conflicts", given=text
        )
    return ConflictsChoice(text)


FromOption = Annotated[
    str, typer.Option("--from", metavar="END", help="memory:PATH, postgres, postgres:URL, or a file.")
]
ToOption = Annotated[
    str,
    typer.Option("--to", metavar="END", help="The same; a file ends in .parquet, .jsonl or .npz."),
]
ConflictsOption = Annotated[
    ConflictsChoice,
    typer.Option(
        parser=_conflicts,
        metavar="<fail|skip|overwrite>",
        help="What becomes of a record whose key the target has.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(help="What made the vectors of a file that does not say so itself.", show_default=False),
]
ResumableOption = Annotated[
    bool, typer.Option("--resumable", help="Commit by batches of 1,000, so that a run that was cut off can go on.")
]


@app.command("plan", epilog=_PLAN_EXAMPLES)
def plan_command(
    context: typer.Context,
    source: FromOption,
    target: ToOption,
    conflicts: ConflictsOption = ConflictsChoice.fail,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a transfer will do: counts, model, disk, time, conflicts. Writes nothing; exit 1 if it cannot work."""
    from media_gateway.cli.progress import LoadProgress
    from media_gateway.cli.transferring import planned

    wish = _wish(context, source, target, conflicts=conflicts, model=model)
    with LoadProgress() as progress:
        found = run(lambda: planned(wish, progress))
    _print_plan(found, as_json=as_json)


@app.command("run", epilog=_RUN_EXAMPLES)
def run_command(
    context: typer.Context,
    source: FromOption,
    target: ToOption,
    conflicts: ConflictsOption = ConflictsChoice.fail,
    resumable: ResumableOption = False,
    journal: Annotated[
        Path | None,
        typer.Option(help="The journal of a resumable transfer; by default in data/transfers.", show_default=False),
    ] = None,
    model: ModelOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, and write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a collection: all of it in one step, or with --resumable by batches.

    In one step the target is complete at the end, or as it was before, whatever happens. Records keep their bits; what
    the application writes meanwhile may be missed.
    """
    from media_gateway.cli.progress import LoadProgress
    from media_gateway.cli.transferring import planned, transferred

    wish = _wish(context, source, target, conflicts=conflicts, model=model, resumable=resumable, journal=journal)
    if dry_run:
        with LoadProgress() as progress:
            found = run(lambda: planned(wish, progress, reads_all=True))
        note("dry run: nothing was written")
        _print_plan(found, as_json=as_json)
        return
    with LoadProgress() as progress:
        done = run(lambda: transferred(wish, progress))
    if as_json:
        print_json(_transferred_as_json(done, wish))
    else:
        typer.echo(_sentence(done, wish))


@app.command("verify", epilog=_VERIFY_EXAMPLES)
def verify_command(
    context: typer.Context,
    source: FromOption,
    target: ToOption,
    limit: Annotated[int, typer.Option(min=0, help="How many differing records are named.")] = 20,
    queries: Annotated[int, typer.Option(min=0, help="How many searches are compared between two stores.")] = 20,
    model: ModelOption = None,
    json_file: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE|-", help="Write the report as JSON; - is stdout.", show_default=False),
    ] = None,
) -> None:
    """Compare two ends record by record: counts, digests, what differs, what searches find. Exit 1 when they differ."""
    from media_gateway.cli.progress import LoadProgress
    from media_gateway.cli.transfer_ends import both_ends
    from media_gateway.cli.transferring import verified

    first, second = both_ends(source, target, read_settings(context))
    with LoadProgress() as progress:
        found = run(lambda: verified(first, second, model=model, limit=limit, queries=queries, progress=progress))
    report = {"from": first.name, "to": second.name, **_report(found)}
    if json_file == "-":
        print_json(report)
    else:
        if json_file is not None:
            _write_report(Path(json_file), report)
        _print_verified(found, first.name, second.name)
    if not found.is_equal:
        sys.exit(1)


def _wish(
    context: typer.Context,
    source: str,
    target: str,
    *,
    conflicts: ConflictsChoice,
    model: str | None,
    resumable: bool = False,
    journal: Path | None = None,
) -> "Wish":
    from media_gateway.cli.transfer_ends import both_ends
    from media_gateway.cli.transferring import Wish

    first, second = both_ends(source, target, read_settings(context))
    return Wish(
        source=first, target=second, conflicts=conflicts.value, model=model, resumable=resumable, journal=journal
    )


def _print_plan(found: "TransferPlan", *, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(found), "possible": not found.refusals})
    else:
        disk = "-" if found.disk_needed is None else f"about {size(found.disk_needed)}"
        print_facts(
            {
                "from": found.source,
                "to": found.target,
                "vectors of": found.space,
                "records": found.count,
                "in the target": found.target_count,
                "in both": f"{found.overlap.keys:,} keys, {found.overlap.identical:,} of them with the same record",
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


def _transferred_as_json(done: "Transferred", wish: "Wish") -> dict[str, Any]:
    return {
        "from": wish.source.name,
        "to": wish.target.name,
        **asdict(done.copied),
        "seconds": done.seconds,
        "journal": None if done.journal is None else str(done.journal),
        "went_on": done.went_on,
        "was_finished": done.was_finished,
    }


def _sentence(done: "Transferred", wish: "Wish") -> str:
    copied = done.copied
    if done.was_finished:
        return (
            f"this transfer of {copied.read:,} records was finished before, nothing was done; remove {done.journal} to "
            "begin anew"
        )
    counts = f"{copied.written:,} written, {copied.kept:,} kept as they were"
    return f"{copied.read:,} records in {done.seconds:.1f} s: {counts}, from {wish.source.name} to {wish.target.name}"


def _report(found: "Verified") -> dict[str, Any]:
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


def _write_report(path: Path, report: dict[str, Any]) -> None:
    from media_gateway.transfer.replacing import written_whole

    with written_whole(path) as file:
        file.write(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")


def _print_verified(found: "Verified", source: str, target: str) -> None:
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
        typer.echo(f"{counts}:" if named == sum(comparison.kinds.values()) else f"{counts}; the first {named}:")
        rows = [
            (one.key, one.kind, ", ".join(one.parts), "" if not one.numbers else f"{one.numbers:,}")
            for one in comparison.differences
        ]
        print_table(("key", "difference", "in", "numbers"), rows, right=("numbers",))
