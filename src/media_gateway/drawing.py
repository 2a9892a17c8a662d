"""Plots as SVG, readable on light and dark pages alike."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from media_gateway.errors import UnsupportedError

GREY: Final = "#808080"
"""Of lines and letters: as far from white as from black."""
PALETTE: Final = ("#2f7ed8", "#2ca25f", "#7b9fc7", "#d9822b", "#c2517b", "#8c6bb1", "#a0894f", "#c0504d")
"""Of middling lightness; what a plot is about takes the first."""


def plotting_library() -> tuple[Any, Any]:
    """Return matplotlib and its module of figures; raises UnsupportedError without the package."""
    try:
        return import_module("matplotlib"), import_module("matplotlib.figure")
    except ImportError as error:
        raise UnsupportedError(
            "plots need the package matplotlib; install media-gateway[bench]", feature="plots", store="bench"
        ) from error


@contextmanager
def svg_axes(path: Path, *, size: tuple[float, float] = (7.2, 4.2)) -> Generator[Any]:
    """Lend the axes of a new plot, which becomes the file *path* when the block ends; its folder is made.

    *size* is width and height in inches. What has a label stands in the legend, which is placed as `legend` said, or
    where there is room. Raises UnsupportedError without the package matplotlib, and the system's errors.
    """
    library, figures = plotting_library()
    figure = figures.Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    yield axes
    for part in (axes.xaxis.label, axes.yaxis.label, axes.title):
        part.set_color(GREY)
    axes.title.set_fontsize(10)
    axes.tick_params(colors=GREY, which="both")
    axes.grid(visible=True, color=GREY, alpha=0.25, linewidth=0.6)
    for spine in axes.spines.values():
        spine.set_color(GREY)
    if axes.get_legend() is None:
        legend(axes)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date and with fixed ids the same results give the same file.
    with library.rc_context({"svg.hashsalt": "media-gateway"}):
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})


def legend(axes: Any, **where: Any) -> None:
    """Put the legend of *axes* where matplotlib's options *where* say."""
    axes.legend(frameon=False, labelcolor=GREY, fontsize=9, **where)
