"""An evaluation as files: JSON of all figures, and Parquet of all rankings."""

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from media_gateway.errors import FileFormatError, InvalidInputError
from media_gateway.learning.evaluation.log import EventLog
from media_gateway.learning.evaluation.metrics import Estimate
from media_gateway.learning.evaluation.report import Results, tables
from media_gateway.learning.evaluation.results import Evaluation
from media_gateway.learning.interests.arrays import places


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Return all figures of *evaluation* as a JSON object."""
    return {
        "events": evaluation.events,
        "users": evaluation.users,
        "items": evaluation.items,
        "learner": evaluation.learner,
        "seconds": round(evaluation.seconds, 1),
        "ms_an_event": None if evaluation.ms_an_event is None else round(evaluation.ms_an_event, 3),
        "ndcg_at_10": {
            protocol: {
                "users": evaluation.users_of(protocol),
                "methods": {method: _rounded(evaluation.estimate(protocol, method)) for method in evaluation.methods},
            }
            for protocol in evaluation.protocols
        },
        "goals": [
            {"goal": goal.name, "wanted": goal.wanted, **_rounded(goal.estimate), "met": goal.is_met}
            for goal in evaluation.goals
        ],
        "chosen": {
            method: {protocol: _finite(dict(parameters)) for protocol, parameters in by_protocol.items() if parameters}
            for method, by_protocol in evaluation.chosen.items()
        },
        "incremental": [{**asdict(one), "ratio": _rounded(one.ratio)} for one in evaluation.incremental],
        "forgetting": None
        if evaluation.forgetting is None
        else {
            **asdict(evaluation.forgetting),
            "a_kept": _rounded(evaluation.forgetting.a_kept),
            "b_learned": _rounded(evaluation.forgetting.b_learned),
        },
        "queries": None if evaluation.queries is None else asdict(evaluation.queries),
    }


def write_results(path: Path, results: Results) -> None:
    """Write the figures *results* to the JSON file *path*; what is not a number is written as null."""
    path.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")


def read_results(path: Path) -> Results:
    """Return the figures that `write_results` wrote to *path*; raises FileFormatError when they are not there."""
    try:
        results: Results = orjson.loads(path.read_bytes())
        # What no tables can be made of lacks something.
        tables(results)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise FileFormatError(
            f"{path} holds no results of media-gateway learn evaluate ({error}); name a file that it wrote by --json",
            path=str(path),
        ) from error
    return results


def write_recommendations(evaluation: Evaluation, log: EventLog, path: Path) -> None:
    """Write every ranking to the Parquet file *path*: protocol, method, user, rank (from 1) and key, and for G the time.

    The column `at` is the Unix time at which was asked. Raises InvalidInputError when the file cannot be written.
    """
    pa: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    columns: dict[str, list[Any]] = {name: [] for name in ("protocol", "method", "user", "rank", "key", "at")}
    for one in evaluation.answers:
        question = one.case.question
        for rank, row in enumerate(places(one.ranked), start=1):
            values: tuple[Any, ...] = (
                question.protocol,
                one.method,
                log.names[question.user],
                rank,
                log.items.keys[row],
                question.at,
            )
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
    try:
        parquet.write_table(pa.table(columns), path)
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be written: {error.strerror or error}; name a file in a folder that exists",
            field="recommendations",
            given=str(path),
            expected="a file in a folder that exists",
        ) from error


def _rounded(estimate: Estimate) -> dict[str, float]:
    return {name: round(value, 6) for name, value in asdict(estimate).items()}


def _finite(parameters: dict[str, float]) -> dict[str, float | str]:
    # JSON has no infinity: a half-life without end is "never".
    return {name: value if value != float("inf") else "never" for name, value in parameters.items()}
