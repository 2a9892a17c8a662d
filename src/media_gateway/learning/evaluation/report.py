"""An evaluation as a page of Markdown with plots, made of the figures that `files.as_json` gives."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from media_gateway.learning.evaluation.plots import plots
from media_gateway.learning.evaluation.queries import METHODS as QUERY_METHODS
from media_gateway.learning.evaluation.ranking import OURS

Results: TypeAlias = Mapping[str, Any]


def write_report(path: Path, results: Results) -> None:
    """Write the tables of *results* to the page *path*, and plots into the folder of its name beside it.

    Raises UnsupportedError without the package matplotlib.
    """
    folder = path.with_suffix("")
    drawn = plots(folder, results)
    pictures = {section: f"![{title}]({folder.name}/{name})" for section, (name, title) in drawn.items()}
    path.write_text(f"# Evaluation\n\n{tables(results, pictures)}", encoding="utf-8")


def tables(results: Results, pictures: Mapping[str, str] | None = None) -> str:
    """Return all figures of *results* as Markdown: goals, methods by protocol, chosen settings, queries, forgetting.

    Beneath the heading of a section stands what *pictures* has for it.
    """
    texts = {
        "Goals": _goals(results),
        "Methods": _methods(results),
        "Event by event": _incremental(results),
        "Forgetting": _forgetting(results),
        "Queries": _queries(results),
        "Settings of the others": _chosen(results),
    }
    pictures = pictures or {}
    parts: list[str] = []
    for name, text in texts.items():
        if text:
            parts += [f"## {name}", *([pictures[name]] if name in pictures else []), text]
    return "\n\n".join(parts) + "\n"


def methods_of(results: Results) -> list[str]:
    """Return the methods that *results* tell of, ours last."""
    return list(dict.fromkeys(name for found in results["ndcg_at_10"].values() for name in found["methods"]))


def written(estimate: Mapping[str, float | None]) -> str:
    """Return value and interval as they are written here: .366 (.331-.402); "-" where nothing could be measured."""
    if estimate["value"] is None:
        return "-"
    return f"{_number(estimate['value'])} ({_number(estimate['low'])}-{_number(estimate['high'])})"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    text = f"{value:.3f}"
    return text.removeprefix("0") if 0 <= value < 1 else text


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _goals(results: Results) -> str:
    rows = [
        (goal["goal"], f"{goal['wanted']:g}", written(goal), "yes" if goal["met"] else "**no**")
        for goal in results["goals"]
    ]
    return _table(("what", "goal", "found (95 % interval)", "met"), rows) if rows else ""


def _methods(results: Results) -> str:
    protocols: Results = results["ndcg_at_10"]
    header = ["method", *(f"{name} ({found['users']} users)" for name, found in protocols.items())]
    rows = [
        [
            f"**{method}**" if method == OURS else method,
            *(written(found["methods"][method]) for found in protocols.values()),
        ]
        for method in methods_of(results)
    ]
    about = "NDCG@10."
    if results["learner"] is not None:
        about += f" `{OURS}` learned {results['learner']}, {results['ms_an_event']:.2f} ms an event, answers included."
    return f"{about}\n\n{_table(header, rows)}"


def _incremental(results: Results) -> str:
    rows = [
        (one["protocol"], _number(one["per_event"]), _number(one["refreshed"]), written(one["ratio"]))
        for one in results["incremental"]
    ]
    if not rows:
        return ""
    return "NDCG@10 of behaviour vectors alone.\n\n" + _table(("protocol", "per event", "full refresh", "ratio"), rows)


def _forgetting(results: Results) -> str:
    found = results["forgetting"]
    if found is None:
        return ""
    tasks = [
        ("A", _number(found["a_before"]), _number(found["a_after"]), written(found["a_kept"])),
        ("B", _number(found["b_alone"]), _number(found["b_after"]), written(found["b_learned"])),
    ]
    return _table(("task", "learned alone", "after A and then B", "ratio"), tasks)


def _queries(results: Results) -> str:
    found = results["queries"]
    if found is None:
        return ""
    rows = [
        (method, *(written(found[group][method]) for group in ("seen", "held_out", "other")))
        for method in QUERY_METHODS
    ]
    about = f"NDCG@10 of {found['count']} queries of genre and era, and of wordings without such words."
    return f"{about}\n\n" + _table(("method", "seen in tuning", "held out", "other wordings"), rows)


def _chosen(results: Results) -> str:
    rows = [
        (method, protocol, ", ".join(f"{name.replace('_', ' ')} {_setting(value)}" for name, value in settings.items()))
        for method, by_protocol in results["chosen"].items()
        for protocol, settings in by_protocol.items()
    ]
    table = _table(("method", "protocol", "settings"), rows)
    return f"Chosen on the first 70 % alone.\n\n{table}" if rows else ""


def _setting(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
