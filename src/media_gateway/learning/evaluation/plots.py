"""The figures of an evaluation as plots, made of what `files.as_json` gives."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from media_gateway.drawing import GREY, PALETTE, legend, svg_axes
from media_gateway.learning.evaluation.queries import METHODS as QUERY_METHODS

_MARKERS: Final = "Dosv^PXh"
_ABREAST: Final = 0.8
"""The share of the room between two groups that the marks of one take at most."""
_APART: Final = 0.15
"""The share of it between two marks, where there are few."""
_COLUMNS: Final = 4


def plots(folder: Path, results: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Draw *results* into *folder*, and return the name and the title of each plot by the section that it belongs to.

    What was not measured is not drawn. Raises UnsupportedError without the package matplotlib.
    """
    drawn = {"Methods": ("methods.svg", "NDCG@10 by method and protocol")}
    _methods(folder / "methods.svg", results["ndcg_at_10"])
    if ratios := _ratios(results):
        drawn["Event by event"] = ("ratios.svg", "Learned event by event, and one task after another")
        _kept(folder / "ratios.svg", ratios, results["goals"])
    if results["queries"] is not None:
        drawn["Queries"] = ("queries.svg", "NDCG@10 of queries")
        _queries(folder / "queries.svg", results["queries"])
    return drawn


def _methods(path: Path, protocols: Mapping[str, Any]) -> None:
    names = list(dict.fromkeys(name for found in protocols.values() for name in found["methods"]))
    series = {name: [found["methods"].get(name) for found in protocols.values()] for name in names}
    with svg_axes(path, size=(7.2, 4.4)) as axes:
        _abreast(axes, list(protocols), series)
        axes.set_ylabel("NDCG@10, 95 % interval")
        axes.set_ylim(bottom=0.0)


def _queries(path: Path, found: Mapping[str, Any]) -> None:
    groups = {"seen": "seen in tuning", "held_out": "held out", "other": "other wordings"}
    series = {method: [found[group][method] for group in groups] for method in QUERY_METHODS}
    with svg_axes(path, size=(7.2, 3.6)) as axes:
        _abreast(axes, list(groups.values()), series)
        axes.set_ylabel("NDCG@10, 95 % interval")
        axes.set_ylim(bottom=0.0)


def _ratios(results: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return what is kept of quality, by what is written below it, and the goal that it belongs to."""
    found = {
        f"{one['protocol']}\nper event": (f"{one['protocol']}, per event against a full refresh", one["ratio"])
        for one in results["incremental"]
    }
    if (tasks := results["forgetting"]) is not None:
        found["A kept\nafter B"] = ("forgetting, A kept", tasks["a_kept"])
        found["B learned\nafter A"] = ("forgetting, B learned", tasks["b_learned"])
    return found


def _kept(path: Path, found: Mapping[str, tuple[str, Mapping[str, Any]]], goals: Sequence[Mapping[str, Any]]) -> None:
    wanted = {goal["goal"]: goal["wanted"] for goal in goals}
    levels = [wanted.get(name, float("nan")) for name, _ in found.values()]
    with svg_axes(path, size=(7.2, 3.4)) as axes:
        axes.axhline(1.0, color=GREY, linewidth=0.8)
        axes.plot(range(len(found)), levels, "_", color=GREY, markersize=28, markeredgewidth=1.6, label="goal")
        _abreast(axes, list(found), {"ratio, 95 % interval": [ratio for _, ratio in found.values()]})
        axes.set_ylabel("of a full refresh, or of one task")


def _abreast(axes: Any, groups: Sequence[str], series: Mapping[str, Sequence[Mapping[str, Any] | None]]) -> None:
    """Draw the estimates of *series* with their intervals, one for each of *groups*, where those of a group stand abreast.

    The last of *series* is what the plot is about. Where nothing is known nothing is drawn.
    """
    last = len(series) - 1
    step = min(_ABREAST / len(series), _APART)
    for place, (name, estimates) in enumerate(series.items()):
        value, low, high = np.array([_row(estimate) for estimate in estimates], dtype=np.float64).T
        axes.errorbar(
            np.arange(len(groups)) + (place - last / 2) * step,
            value,
            yerr=(value - low, high - value),
            fmt=_MARKERS[last - place],
            color=PALETTE[last - place],
            markersize=6 if place == last else 4.5,
            elinewidth=2.0 if place == last else 1.2,
            label=name,
        )
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlim(-0.5, len(groups) - 0.5)
    legend(axes, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=_COLUMNS)


def _row(estimate: Mapping[str, Any] | None) -> list[float]:
    values = [None] * 3 if estimate is None else [estimate[name] for name in ("value", "low", "high")]
    return [float("nan") if value is None else float(value) for value in values]
