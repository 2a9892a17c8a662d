"""`learn evaluate`: the recommender beside simple rankings and the usual models."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from media_gateway.cli.options import BackendChoice, examples, read_settings
from media_gateway.cli.output import note, print_table
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.learning.evaluation.log import EventLog
    from media_gateway.learning.evaluation.report import Results
    from media_gateway.learning.evaluation.results import Evaluation
    from media_gateway.learning.evaluation.run import OpenModel
    from media_gateway.learning.interests.memory import MemoryInterests

EVALUATE_EXAMPLES = examples(
    "media-gateway learn evaluate --dataset ml-100k",
    "media-gateway learn evaluate --dataset ml-100k --json results.json --report learning.md",
    "media-gateway learn evaluate --dataset ml-100k --through postgres --recommendations lists.parquet",
    "media-gateway learn evaluate --dataset ml-100k --methods 'popularity,text + popularity'",
    "media-gateway learn evaluate --only-report --json results.json --report learning.md",
)
_PLACES: Final = {"memory": "memory", "postgres": "PostgreSQL"}


def evaluate(
    context: typer.Context,
    dataset: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A MovieLens folder, as published or as RecBole ships it.", show_default=False
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures there.", show_default=False)
    ] = None,
    recommendations: Annotated[
        Path | None,
        typer.Option(metavar="FILE.parquet", help="Write every ranking of every method there.", show_default=False),
    ] = None,
    through: Annotated[
        str, typer.Option(metavar="<memory|postgres>", help="Where the recommender keeps what it learns meanwhile.")
    ] = "memory",
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Only these methods, ours or others; by default all.", show_default=False),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.md", help="Write the tables there, and plots beside it.", show_default=False),
    ] = None,
    only_report: Annotated[
        bool, typer.Option("--only-report", help="Measure nothing; report what --json has.")
    ] = False,
) -> None:
    """Measure the recommender beside simple rankings and the usual models, on the ratings of a MovieLens folder.

    All protocols of docs/learning.md; the others are tuned on the first 70 % of the ratings. Takes minutes. Through PostgreSQL
    it learns in a database of its own, which is dropped in the end.
    """
    if only_report:
        _report_again(json_file, report)
        return
    names = _checked_methods(methods)
    folder = _checked_folder(dataset)
    _check_files(json_file, recommendations)
    _check_report(report)
    open_model = _opener(context, through)
    evaluation, log = run(lambda: _evaluated(folder, open_model, f"event by event in {_PLACES[through]}", names))
    _write(evaluation, log, json_file=json_file, recommendations=recommendations, report=report)


def _report_again(json_file: Path | None, report: Path | None) -> None:
    from media_gateway.errors import InvalidRequestError
    from media_gateway.learning.evaluation.files import read_results
    from media_gateway.learning.evaluation.report import write_report

    if json_file is None or report is None:
        raise InvalidRequestError(
            "--only-report is given without --json or --report; name the results with --json FILE and the page to write "
            "with --report FILE.md",
            field="report",
            expected="two files",
        )
    results = read_results(json_file)
    _check_report(report)
    write_report(report, results)
    note(f"wrote {report}")


def _checked_methods(text: str | None) -> "Sequence[str]":
    """Return the methods that *text*, names with commas between, asks for; all of them for None."""
    from media_gateway.errors import InvalidRequestError, shown
    from media_gateway.learning.evaluation.run import METHODS

    if text is None:
        return METHODS
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        raise InvalidRequestError(
            f"--methods names {shown(unknown[0]) if unknown else 'nothing'}; expected some of {', '.join(METHODS)}",
            field="methods",
            given=text,
            expected=", ".join(METHODS),
        )
    return names


def _checked_folder(dataset: Path | None) -> Path:
    from media_gateway.errors import InvalidRequestError

    if dataset is None:
        raise InvalidRequestError(
            "--dataset is not given; name a MovieLens folder with --dataset DIR", field="dataset", expected="a folder"
        )
    return dataset


def _write(
    evaluation: "Evaluation",
    log: "EventLog",
    *,
    json_file: Path | None,
    recommendations: Path | None,
    report: Path | None,
) -> None:
    from media_gateway.learning.evaluation.files import as_json, write_recommendations, write_results
    from media_gateway.learning.evaluation.report import write_report

    results = as_json(evaluation)
    if json_file is not None:
        write_results(json_file, results)
        note(f"wrote {json_file}")
    if recommendations is not None:
        write_recommendations(evaluation, log, recommendations)
        note(f"wrote {recommendations}")
    if report is not None:
        write_report(report, results)
        note(f"wrote {report}")
    _print(results)


def _check_files(*files: Path | None) -> None:
    """Raise InvalidInputError for a file in a folder that is not there: what takes minutes must not fail at its end."""
    from media_gateway.errors import InvalidInputError

    for file in files:
        if file is not None and not file.parent.is_dir():
            raise InvalidInputError(
                f"{file} cannot be written: there is no folder {file.parent}; name one that exists",
                field="file",
                given=str(file),
                expected="a file in a folder that exists",
            )


def _check_report(report: Path | None) -> None:
    """Raise an error where *report* cannot be written with its plots, which stand in a folder of its name."""
    from media_gateway.drawing import plotting_library
    from media_gateway.errors import InvalidInputError

    if report is None:
        return
    _check_files(report)
    if not report.suffix:
        raise InvalidInputError(
            f"--report is {report}, a name without an ending; expected one such as {report}.md, beside which plots have a folder",
            field="report",
            given=str(report),
            expected="a name such as report.md",
        )
    plotting_library()


def _opener(context: typer.Context, through: str) -> "OpenModel":
    """Return what opens the recommender, empty; raises InvalidInputError for a place that there is not."""
    from contextlib import asynccontextmanager

    from media_gateway.embeddings.local import LocalEmbedder
    from media_gateway.errors import InvalidInputError, shown
    from media_gateway.learning.interests.memory import MemoryInterests
    from media_gateway.wiring import open_scratch_interests

    if through not in _PLACES:
        raise InvalidInputError(
            f"--through is {shown(through)}; expected 'memory' or 'postgres'",
            field="through",
            given=through,
            expected="memory or postgres",
        )
    if through == "postgres":
        settings = read_settings(context, BackendChoice.postgres)
        return lambda: open_scratch_interests(settings, space=LocalEmbedder().space)

    @asynccontextmanager
    async def in_memory() -> "AsyncGenerator[MemoryInterests]":
        yield MemoryInterests()

    return in_memory


async def _evaluated(
    dataset: Path, open_model: "OpenModel", learner: str, methods: "Sequence[str]"
) -> "tuple[Evaluation, EventLog]":
    from media_gateway.cli.evaluation_log import rated_log
    from media_gateway.embeddings.local import LocalEmbedder
    from media_gateway.learning.evaluation.run import Subject
    from media_gateway.learning.evaluation.run import evaluate as evaluated
    from media_gateway.learning.interests.settings import InterestSettings

    embedder = LocalEmbedder()
    try:
        log, narrow = await rated_log(dataset, embedder)
        subject = Subject(
            log=log,
            open_model=open_model,
            learner=learner,
            settings=InterestSettings(),
            embed=lambda texts: embedder.embed(texts, "query"),
            narrow=narrow,
        )
        return await evaluated(subject, on_work=note, methods=methods), log
    finally:
        await embedder.aclose()


def _print(results: "Results") -> None:
    from media_gateway.learning.evaluation.report import methods_of, written

    protocols = results["ndcg_at_10"]
    print_table(
        ("method", *protocols),
        [
            (method, *(written(found["methods"][method]) for found in protocols.values()))
            for method in methods_of(results)
        ],
        right=list(protocols),
    )
    if results["goals"]:
        print_table(
            ("goal", "wanted", "found", "met"),
            [
                (goal["goal"], f"{goal['wanted']:g}", written(goal), "yes" if goal["met"] else "no")
                for goal in results["goals"]
            ],
            right=("wanted", "found"),
        )
