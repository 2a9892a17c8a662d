"""The recall-latency curves as SVG, readable on light and dark pages alike."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from media_gateway.benchmarking.results import Result
from media_gateway.errors import UnsupportedError

_GREY: Final = "#808080"
_COLOURS: Final = {
    "postgres": "#2f7ed8",
    "memory": "#2ca25f",
    "psycopg": "#7b9fc7",
    "langchain": "#d9822b",
    "vecs": "#c2517b",
    "usearch": "#8c6bb1",
    "numpy": "#a0894f",
    "ruvector-npm": "#c0504d",
}


def plotting_library() -> tuple[Any, Any]:
    """Return matplotlib and its module of figures; raises UnsupportedError without the package."""
    try:
        return import_module("matplotlib"), import_module("matplotlib.figure")
    except ImportError as error:
        raise UnsupportedError(
            "plots need the package matplotlib; install media-gateway[bench]", feature="plots", store="bench"
        ) from error


def plot_curves(path: Path, results: Sequence[Result]) -> None:
    """Write the curves of *results*, all on the same data, to *path*: latency (logarithmic) over recall.

    A system without a width to set is one point. Raises UnsupportedError without the package matplotlib.
    """
    library, figures = plotting_library()
    figure = figures.Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    for result in results:
        _draw(axes, result)
    first = results[0]
    axes.set_yscale("log")
    axes.set_xlabel("recall@10", color=_GREY)
    axes.set_ylabel("p50 of one client, ms", color=_GREY)
    axes.set_title(f"{first.n:,} vectors of {first.dimension} numbers", color=_GREY, fontsize=10)
    axes.axvline(first.recall_target, color=_GREY, linewidth=0.8, linestyle=":")
    axes.tick_params(colors=_GREY, which="both")
    axes.grid(visible=True, color=_GREY, alpha=0.25, linewidth=0.6)
    for spine in axes.spines.values():
        spine.set_color(_GREY)
    axes.legend(frameon=False, labelcolor=_GREY, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date and with fixed ids the same results give the same file.
    with library.rc_context({"svg.hashsalt": "media-gateway"}):
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})


def _draw(axes: Any, result: Result) -> None:
    colour = _COLOURS.get(result.system, _GREY)
    if not result.curve:
        axes.plot([result.recall], [result.p50_ms], "D", color=colour, markersize=6, label=result.system)
        return
    recalls = [point.recall for point in result.curve]
    times = [point.p50_ms for point in result.curve]
    axes.plot(recalls, times, "-o", color=colour, markersize=3.5, linewidth=1.4, label=result.system)
