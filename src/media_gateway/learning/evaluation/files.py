"""An evaluation as files: JSON of all figures, and Parquet of all rankings."""

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from media_gateway.errors import InvalidInputError
from media_gateway.learning.evaluation.log import EventLog
from media_gateway.learning.evaluation.metrics import Estimate
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
        "ms_an_event": round(evaluation.ms_an_event, 3),
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
    return {name: round(value, 4) for name, value in asdict(estimate).items()}


def _finite(parameters: dict[str, float]) -> dict[str, float | str]:
    # JSON has no infinity: a half-life without end is "never".
    return {name: value if value != float("inf") else "never" for name, value in parameters.items()}
