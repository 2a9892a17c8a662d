"""An evaluation as a page of Markdown."""

from collections.abc import Iterable, Sequence

from media_gateway.learning.evaluation.metrics import Estimate
from media_gateway.learning.evaluation.queries import PARSED, STATIC, STATIC_POPULARITY
from media_gateway.learning.evaluation.results import Evaluation


def tables(evaluation: Evaluation) -> str:
    """Return all figures of *evaluation* as Markdown: goals, methods by protocol, chosen settings, queries, forgetting."""
    parts = [
        _goals(evaluation),
        _methods(evaluation),
        _continual(evaluation),
        _queries(evaluation),
        _chosen(evaluation),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def written(estimate: Estimate, digits: int = 3) -> str:
    """Return value and interval as they are written here: .366 (.331-.402)."""
    return f"{_number(estimate.value, digits)} ({_number(estimate.low, digits)}-{_number(estimate.high, digits)})"


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.removeprefix("0") if 0 <= value < 1 else text


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _goals(evaluation: Evaluation) -> str:
    rows = [
        (goal.name, f"{goal.wanted:g}", written(goal.estimate), "yes" if goal.is_met else "**no**")
        for goal in evaluation.goals
    ]
    return "## Goals\n\n" + _table(("what", "goal", "found (95 % interval)", "met"), rows)


def _methods(evaluation: Evaluation) -> str:
    header = ["method", *(f"{name} ({evaluation.users_of(name)} users)" for name in evaluation.protocols)]
    rows = [
        [
            f"**{method}**" if method == evaluation.methods[-1] else method,
            *(written(evaluation.estimate(protocol, method)) for protocol in evaluation.protocols),
        ]
        for method in evaluation.methods
    ]
    about = f"`ours` learned {evaluation.learner}, {evaluation.ms_an_event:.2f} ms an event, answers included."
    return f"## Methods\n\nNDCG@10. {about}\n\n{_table(header, rows)}"


def _continual(evaluation: Evaluation) -> str:
    rows = [
        (one.protocol, _number(one.per_event, 3), _number(one.refreshed, 3), written(one.ratio))
        for one in evaluation.incremental
    ]
    text = "## Event by event\n\nNDCG@10 of behaviour vectors alone.\n\n" + _table(
        ("protocol", "per event", "full refresh", "ratio"), rows
    )
    found = evaluation.forgetting
    if found is None:
        return text
    tasks = [
        ("A", _number(found.a_before, 3), _number(found.a_after, 3), written(found.a_kept)),
        ("B", _number(found.b_alone, 3), _number(found.b_after, 3), written(found.b_learned)),
    ]
    return f"{text}\n\n## Forgetting\n\n" + _table(("task", "learned alone", "after A and then B", "ratio"), tasks)


def _queries(evaluation: Evaluation) -> str:
    found = evaluation.queries
    if found is None:
        return ""
    rows = [
        (method, written(found.seen[method]), written(found.held_out[method]), written(found.other[method]))
        for method in (STATIC, STATIC_POPULARITY, PARSED)
    ]
    return (
        f"## Queries\n\nNDCG@10 of {found.count} queries of genre and era, and of wordings without such words.\n\n"
        + _table(("method", "seen in tuning", "held out", "other wordings"), rows)
    )


def _chosen(evaluation: Evaluation) -> str:
    rows = [
        (
            method,
            protocol,
            ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in parameters.items()),
        )
        for method, by_protocol in evaluation.chosen.items()
        for protocol, parameters in by_protocol.items()
        if parameters
    ]
    return "## Settings of the others\n\nChosen on the first 70 % alone.\n\n" + _table(
        ("method", "protocol", "settings"), rows
    )
