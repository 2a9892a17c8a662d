"""The page of figures: tables between two markers, and a plot for each data set, beside prose written by hand."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from media_gateway.benchmarking.claims import Row, claims, goals
from media_gateway.benchmarking.plots import plot_curves
from media_gateway.benchmarking.results import Result
from media_gateway.errors import FileFormatError, InvalidInputError

BEGIN: Final = "<!-- results: written by media-gateway bench --report, do not edit -->"
END: Final = "<!-- end of results -->"
_MIB: Final = 2**20


def write_report(path: Path, results: Sequence[Result]) -> None:
    """Write the tables of *results* between the markers of *path*, and plots into the folder of its name beside it.

    A file that is not there is made. Raises InvalidInputError when there are no results, FileFormatError for a file
    without the markers, UnsupportedError without the package matplotlib.
    """
    if not results:
        raise InvalidInputError(
            "there are no results to report; measure something first, or name a file of results with --json",
            field="report",
        )
    text = path.read_text(encoding="utf-8") if path.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise FileFormatError(
            f"{path} has no place for results; expected the lines {BEGIN!r} and {END!r}", path=str(path)
        )
    groups = _groups(results)
    for group in groups:
        plot_curves(path.with_suffix("") / _plot_name(group), group)
    body = "\n".join(_body(path, results, groups))
    path.write_text(f"{before}{BEGIN}\n\n{body}\n{END}{after}", encoding="utf-8")


def _groups(results: Sequence[Result]) -> list[list[Result]]:
    """Return the results by data set, the smallest first, and by latency within it."""
    named = sorted({(one.n, one.dimension, str(one.data.get("fingerprint"))) for one in results})
    return [
        sorted(
            (one for one in results if (one.n, one.dimension, str(one.data.get("fingerprint"))) == name),
            key=lambda one: one.p50_ms,
        )
        for name in named
    ]


def _plot_name(group: Sequence[Result]) -> str:
    first = group[0]
    return f"{first.data.get('name')}-{first.n}x{first.dimension}-{str(first.data.get('fingerprint'))[:6]}.svg"


def _body(path: Path, results: Sequence[Result], groups: Sequence[Sequence[Result]]) -> Iterator[str]:
    yield "## Claims\n"
    yield from _table(("claim", "about", "found", "", "how to reproduce"), [_claim(row) for row in claims(results)])
    yield "\n## Goals\n"
    yield from _table(("what", "goal", "found", ""), [_goal(row) for row in goals(results)])
    for group in groups:
        yield from _section(path, group)


def _claim(row: Row) -> tuple[str, ...]:
    return (row.said, row.what, row.found, row.verdict, row.how)


def _goal(row: Row) -> tuple[str, ...]:
    return (row.what, row.said, row.found, row.verdict)


def _section(path: Path, group: Sequence[Result]) -> Iterator[str]:
    first = group[0]
    made = ", ".join(f"{name} {first.data[name]}" for name in ("seed", "noise", "model") if name in first.data)
    yield f"\n## {first.n:,} vectors of {first.dimension} numbers, {first.data.get('name')}\n"
    machine = first.machine
    memory = machine.get("memory_bytes", 0) / 2**30
    yield (
        f"{machine.get('processor')}, {machine.get('cores')} cores, {memory:.0f} GiB, {machine.get('system')}; "
        f"{made or 'as the file has it'}; recall target {first.recall_target:g}.\n"
    )
    header = ("system", "index", "width", "recall@10", "p50 ms", "p95 ms", "p99 ms", "1 client/s", "4/s", "16/s")
    yield from _table(header, [_search_row(one) for one in group])
    yield ""
    header = ("system", "rows/s", "index built, s", "disk, MiB", "memory, MiB", "searches timed", "measured")
    yield from _table(header, [_load_row(one) for one in group])
    yield f"\n![Recall and latency]({path.stem}/{_plot_name(group)})\n"
    for one in group:
        if one.notes:
            yield f"- {one.system}: {'; '.join(one.notes)}."
    versions = {name: version for one in group for name, version in one.versions.items()}
    yield f"\nVersions: {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}.\n"
    for command in sorted({one.command for one in group if one.command}):
        yield f"```bash\n{command}\n```"


def _search_row(one: Result) -> tuple[str, ...]:
    return (
        one.system,
        one.index,
        "-" if one.width is None else str(one.width),
        f"{one.recall:.3f}",
        f"{one.p50_ms:.2f}",
        f"{one.p95_ms:.2f}",
        f"{one.p99_ms:.2f}",
        f"{one.qps:,.0f}",
        f"{one.qps_4:,.0f}",
        f"{one.qps_16:,.0f}",
    )


def _load_row(one: Result) -> tuple[str, ...]:
    return (
        one.system,
        f"{one.load_rows_per_s:,.0f}",
        f"{one.build_s:,.1f}",
        _mebibytes(one.disk_bytes),
        _mebibytes(one.memory_bytes),
        f"{one.queries:,}",
        one.measured_at[:10],
    )


def _mebibytes(count: int | None) -> str:
    return "-" if count is None else f"{count / _MIB:,.0f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
