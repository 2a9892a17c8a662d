"""`tune`: how wide the searches of PostgreSQL must be for the recall that is wanted."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from media_gateway.cli.options import BackendOption, JsonOption, examples, place, read_settings
from media_gateway.cli.output import note, print_json, print_table
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.models import TunedClass, TuningEntry, TuningReport
    from media_gateway.settings import Settings

TUNE_EXAMPLES = examples(
    "media-gateway tune --backend postgres",
    "media-gateway tune --target 0.99 --sample 1000",
    "media-gateway tune --dry-run --try-indexes --json",
    "media-gateway tune --history",
)

_ENTRIES = 20


def tune(
    context: typer.Context,
    target: Annotated[
        float | None,
        typer.Option(help="The recall to reach; by default RUVECTOR_RECALL_TARGET, .95.", show_default=False),
    ] = None,
    sample: Annotated[int, typer.Option(help="Queries to measure with, 20 or more.")] = 500,
    k: Annotated[int, typer.Option("-k", "--k", help="The hits of a search among which recall is measured.")] = 10,
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Record what was found and search by it, or only tell.")
    ] = True,
    try_indexes: Annotated[
        bool, typer.Option("--try-indexes", help="Build other indexes on a sample too, and measure what they gain.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Tell what was tuned before, by whom and why, and measure nothing.")
    ] = False,
    backend: BackendOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the recall of searches on PostgreSQL against exact answers, and search as narrowly as reaches the target.

    Queries are those of logged searches, where there are 50, else made of records and their neighbours. Running processes follow
    within a minute.
    """
    settings = read_settings(context, backend)
    if history:
        entries = run(lambda: _history(settings))
        if as_json:
            print_json([asdict(entry) for entry in entries])
        else:
            _print_history(entries)
        return
    wanted = settings.recall_target if target is None else target
    report = run(lambda: _tune(settings, target=wanted, sample=sample, k=k, apply=apply, try_indexes=try_indexes))
    if as_json:
        print_json({**asdict(report), "ef_search": report.ef_search, "place": place(settings)})
        note(_summary(report, settings))
        return
    _print(report)
    typer.echo(_summary(report, settings))


async def _tune(
    settings: "Settings", *, target: float, sample: int, k: int, apply: bool, try_indexes: bool
) -> "TuningReport":
    from media_gateway.contracts import Tunes
    from media_gateway.errors import UnsupportedError
    from media_gateway.wiring import open_collection

    _refuse_memory(settings)
    store = await open_collection(settings, is_alone=True)
    try:
        if not isinstance(store, Tunes):
            raise UnsupportedError("this store cannot be tuned", feature="tuning", store=type(store).__name__)
        return await store.tune(target=target, sample=sample, k=k, apply=apply, try_indexes=try_indexes)
    finally:
        await store.aclose()


def _refuse_memory(settings: "Settings") -> None:
    from media_gateway.errors import UnsupportedError

    if settings.backend == "memory":
        raise UnsupportedError(
            "the memory store measures its recall and tunes itself as it grows; tune PostgreSQL with --backend postgres",
            feature="tuning",
            store="memory",
        )


async def _history(settings: "Settings") -> list["TuningEntry"]:
    from media_gateway.wiring import open_collection, postgres_of

    _refuse_memory(settings)
    store = await open_collection(settings, is_alone=True)
    try:
        postgres = postgres_of(store)
        return [] if postgres is None else await postgres.tuning_history(_ENTRIES)
    finally:
        await store.aclose()


def _print_history(entries: list["TuningEntry"]) -> None:
    if not entries:
        note("nothing was tuned yet, as far as there is a record")
        return
    print_table(
        ("at", "process", "action", "why", "recall before", "after", "ef_search", "records"),
        [
            (
                "" if entry.at is None else entry.at.isoformat(sep=" ", timespec="seconds"),
                entry.process,
                entry.action,
                f"{entry.trigger}: {entry.reason}",
                _figure(entry.recall_sampled),
                _figure(entry.recall_after),
                f"{entry.ef_before or '-'} to {entry.ef_after or '-'}",
                "-" if entry.table_rows is None else f"{entry.table_rows:,}",
            )
            for entry in entries
        ],
        right=("recall before", "after", "ef_search", "records"),
    )
    for sentence in entries[0].advice:
        typer.echo(f"Advice: {sentence}.")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _print(report: "TuningReport") -> None:
    print_table(
        ("searches", "ef_search", "candidates", "recall", "95 % interval", "p50 ms", "target"),
        [_row(one, report.k) for one in report.classes],
        right=("ef_search", "candidates", "recall", "p50 ms"),
    )
    if report.trials:
        print_table(
            ("index tried", "m", "ef_construction", "ef_search", "recall", "p50 ms", "MiB in all", "build s in all"),
            [
                (
                    trial.kind,
                    str(trial.m),
                    str(trial.ef_construction),
                    "-" if trial.ef_search is None else str(trial.ef_search),
                    f"{trial.recall:.3f}",
                    f"{trial.p50_ms:.2f}",
                    f"{trial.whole_index_bytes / 2**20:,.0f}",
                    f"{trial.whole_build_seconds:,.0f}",
                )
                for trial in report.trials
            ],
            right=("m", "ef_construction", "ef_search", "recall", "p50 ms", "MiB in all", "build s in all"),
        )
    for sentence in report.advice:
        typer.echo(f"Advice: {sentence}.")


def _row(one: "TunedClass", k: int) -> tuple[str, ...]:
    return (
        "without a filter" if one.share >= 1 else f"filter that passes {one.share:.1%}",
        str(one.ef_search),
        f"{one.factor * k:.0f}",
        f"{one.recall:.3f}",
        f"{one.recall_low:.3f} to {one.recall_high:.3f}",
        f"{one.p50_ms:.2f}",
        "reached" if one.reached else "missed",
    )


def _summary(report: "TuningReport", settings: "Settings") -> str:
    source = "logged searches" if report.queries_from == "searches" else "queries made of records"
    end = "recorded; running processes follow within a minute" if report.applied else "nothing was changed"
    return (
        f"ef_search {report.ef_search} for a recall@{report.k} of {report.target:g} on {report.index}, "
        f"{report.rows:,} records; filters that pass fewer than {report.turn:,} are scanned; {report.sample} {source}, "
        f"{report.seconds:.1f} s; {end}; {place(settings)}"
    )
