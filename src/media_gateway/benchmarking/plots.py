"""The recall-latency curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from media_gateway.benchmarking.results import Result
from media_gateway.drawing import GREY, PALETTE, svg_axes

_SYSTEMS: Final = ("postgres", "memory", "psycopg", "langchain", "vecs", "usearch", "numpy", "ruvector-npm")
_COLOURS: Final[Mapping[str, str]] = dict(zip(_SYSTEMS, PALETTE, strict=True))


def plot_curves(path: Path, results: Sequence[Result]) -> None:
    """Write the curves of *results*, all on the same data, to *path*: latency (logarithmic) over recall.

    A system without a width to set is one point. Raises UnsupportedError without the package matplotlib.
    """
    first = results[0]
    with svg_axes(path) as axes:
        for result in results:
            _draw(axes, result)
        axes.set_yscale("log")
        axes.set_xlabel("recall@10")
        axes.set_ylabel("p50 of one client, ms")
        axes.set_title(f"{first.n:,} vectors of {first.dimension} numbers")
        axes.axvline(first.recall_target, color=GREY, linewidth=0.8, linestyle=":")


def _draw(axes: Any, result: Result) -> None:
    colour = _COLOURS.get(result.system, GREY)
    if not result.curve:
        axes.plot([result.recall], [result.p50_ms], "D", color=colour, markersize=6, label=result.system)
        return
    recalls = [point.recall for point in result.curve]
    times = [point.p50_ms for point in result.curve]
    axes.plot(recalls, times, "-o", color=colour, markersize=3.5, linewidth=1.4, label=result.system)
