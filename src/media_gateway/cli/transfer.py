"""`transfer`: move a collection between stores and files, and prove that nothing was lost."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from media_gateway.cli.options import JsonOption, choice, examples, read_settings
from media_gateway.cli.output import note, print_json
from media_gateway.cli.run import run
from media_gateway.cli.transfer_reports import (
    print_plan,
    print_verified,
    report_of,
    sentence,
    transferred_as_json,
    write_report,
)

if TYPE_CHECKING:
    from media_gateway.cli.transferring import Wish

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
        parser=choice("conflicts", ConflictsChoice),
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
    resumable: ResumableOption = False,
    model: ModelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a transfer will do: counts, model, disk, time, conflicts. Writes nothing; exit 1 if it cannot work."""
    from media_gateway.cli.progress import LoadProgress
    from media_gateway.cli.transferring import planned

    wish = _wish(context, source, target, conflicts=conflicts, model=model, resumable=resumable)
    with LoadProgress() as progress:
        found = run(lambda: planned(wish, progress))
    print_plan(found, as_json=as_json)


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
        print_plan(found, as_json=as_json)
        return
    with LoadProgress() as progress:
        done = run(lambda: transferred(wish, progress))
    if as_json:
        print_json(transferred_as_json(done, wish))
    else:
        typer.echo(sentence(done, wish))


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
    report = {"from": first.name, "to": second.name, **report_of(found)}
    if json_file == "-":
        print_json(report)
    else:
        if json_file is not None:
            write_report(Path(json_file), report)
        print_verified(found, first.name, second.name)
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
