"""`bench`: measure both stores beside their peers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from media_gateway.cli.options import examples
from media_gateway.cli.output import note, print_table
from media_gateway.cli.output import size as size_of
from media_gateway.cli.run import run

if TYPE_CHECKING:
    from media_gateway.benchmarking.datasets import Dataset
    from media_gateway.benchmarking.results import Result, ResultFile
    from media_gateway.benchmarking.run import BenchmarkOptions
    from media_gateway.database.index_definitions import IndexDefinition

BENCH_EXAMPLES = examples(
    "media-gateway bench --quick",
    "media-gateway bench --size 100000 --json results.json --report docs/benchmarks.md",
    "media-gateway bench --systems postgres,psycopg --size 1000000 --index halfvec --json results.json",
    "media-gateway bench --dataset glove-100-angular.hdf5 --systems postgres,memory,numpy",
    "media-gateway bench --corpus sample",
)
SIZE: Final = 100_000
QUERIES: Final = 1_000
M: Final = 16
EF_CONSTRUCTION: Final = 64
"""pgvector's defaults, which are ours."""
RECALL: Final = 0.95
QUICK_SIZE: Final = 5_000
QUICK_QUERIES: Final = 300
_MEMORY_SHARE: Final = 5
"""Made-up rows that take more than this part of the memory are made anew each time they are read."""


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="5,000 rows and short rounds: two minutes.")] = False,
    size: Annotated[int | None, typer.Option(min=100, help="Rows; 100,000 unless a file has fewer.")] = None,
    dimension: Annotated[int, typer.Option(min=2, max=2000, help="Numbers of a made-up vector.")] = 768,
    noise: Annotated[
        float, typer.Option(min=0.0, help="Spread of made-up clusters; 1.0 is as hard as one-line texts.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(help="What made-up rows and the choice of queries begin with.")] = 0,
    dataset: Annotated[
        Path | None, typer.Option(metavar="FILE.hdf5", help="A file of ANN-Benchmarks, angular.", show_default=False)
    ] = None,
    corpus: Annotated[
        str | None,
        typer.Option(metavar="FILE|sample", help="Texts (.txt, .jsonl) for the local model.", show_default=False),
    ] = None,
    queries: Annotated[int | None, typer.Option(min=10, help="Searches of one client; 1,000.")] = None,
    recall: Annotated[float, typer.Option(min=0.1, max=1.0, help="The recall@10 that all have to reach.")] = RECALL,
    index: Annotated[str, typer.Option(metavar="<vector|halfvec>", help="The index of our collection.")] = "vector",
    m: Annotated[int, typer.Option("--m", min=2, max=100, help="Links a row in an HNSW index of PostgreSQL.")] = M,
    ef_construction: Annotated[
        int, typer.Option(min=4, max=1000, help="Width of the searches that build it.")
    ] = EF_CONSTRUCTION,
    systems: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only these systems; by default all.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep what was loaded here, for a later run.", show_default=False),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Add the results to this JSON list.", show_default=False),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.md", help="Write tables and plots of all results there.", show_default=False),
    ] = None,
    only_report: Annotated[
        bool, typer.Option("--only-report", help="Measure nothing; report what --json has.")
    ] = False,
) -> None:
    """Measure our two stores beside their peers: the same rows and queries, one machine, one run, equal recall.

    Each result is written to the JSON file as soon as it is there, in place of an older one of the same system and data.
    """
    from media_gateway.benchmarking.measure import Plan
    from media_gateway.benchmarking.results import ResultFile
    from media_gateway.benchmarking.run import BenchmarkOptions
    from media_gateway.benchmarking.systems.registry import NAMES, checked_index, checked_names

    _check_options(dataset, corpus, report, only_report=only_report)
    file = ResultFile(json_file)
    names = checked_names(systems)
    source = _Source(
        size=size or (QUICK_SIZE if quick and not (dataset or corpus) else None),
        dimension=dimension,
        noise=noise,
        seed=seed,
        dataset=dataset,
        corpus=corpus,
        queries=queries or (QUICK_QUERIES if quick else QUERIES),
    )
    definition = checked_index(index, m=m, ef_construction=ef_construction)
    options = BenchmarkOptions(
        systems=names,
        plan=Plan.quick() if quick else Plan(),
        target=recall,
        index=definition,
        folder=folder,
        command=source.command(
            quick=quick, recall=recall, index=definition, systems="" if set(names) == set(NAMES) else ",".join(names)
        ),
    )
    before = set(map(id, file.results))
    if not only_report:
        run(lambda: _measured(source, options, file))
        print_results([result for result in file.results if id(result) not in before])
    if report is not None:
        from media_gateway.benchmarking.report import write_report

        write_report(report, file.results)
        note(f"wrote {report}")


def _check_options(dataset: Path | None, corpus: str | None, report: Path | None, *, only_report: bool) -> None:
    from media_gateway.errors import InvalidRequestError

    if dataset is not None and corpus is not None:
        raise InvalidRequestError(
            "--dataset and --corpus are given; expected one of them", field="corpus", given=corpus, expected="one"
        )
    if only_report and report is None:
        raise InvalidRequestError(
            "--only-report is given without --report; name the page to write with --report FILE.md",
            field="report",
            expected="a file",
        )
    if report is not None and not only_report:
        from media_gateway.drawing import plotting_library

        # What takes an hour to measure must not fail at its end.
        plotting_library()


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Where the rows come from."""

    size: int | None
    dimension: int
    noise: float
    seed: int
    dataset: Path | None
    corpus: str | None
    queries: int

    async def read(self) -> "Dataset":
        from media_gateway.benchmarking.corpus import embed_corpus
        from media_gateway.benchmarking.datasets import made_up
        from media_gateway.benchmarking.hdf5 import read_hdf5
        from media_gateway.benchmarking.machine import memory_bytes

        if self.dataset is not None:
            return read_hdf5(self.dataset, queries=self.queries, size=self.size)
        if self.corpus is not None:
            return await embed_corpus(self.corpus, queries=self.queries, seed=self.seed, size=self.size)
        return made_up(
            count=self.size or SIZE,
            dimension=self.dimension,
            queries=self.queries,
            seed=self.seed,
            noise=self.noise,
            most_bytes=memory_bytes() // _MEMORY_SHARE,
        )

    def command(self, *, quick: bool, recall: float, index: "IndexDefinition", systems: str) -> str:
        """Return the command that measures the same."""
        words = ["media-gateway bench"]
        words += ["--quick"] if quick else []
        if self.dataset is not None:
            words += ["--dataset", self.dataset.name]
        elif self.corpus is not None:
            words += ["--corpus", Path(self.corpus).name]
        else:
            words += ["--dimension", str(self.dimension), "--noise", f"{self.noise:g}", "--seed", str(self.seed)]
            words += ["--size", str(self.size or SIZE)]
        if self.size is not None and (self.dataset is not None or self.corpus is not None):
            words += ["--size", str(self.size)]
        words += [] if self.queries == (QUICK_QUERIES if quick else QUERIES) else ["--queries", str(self.queries)]
        words += [] if recall == RECALL else ["--recall", f"{recall:g}"]
        words += [] if index.kind == "vector" else ["--index", index.kind]
        words += [] if index.m == M else ["--m", str(index.m)]
        words += [] if index.ef_construction == EF_CONSTRUCTION else ["--ef-construction", str(index.ef_construction)]
        words += ["--systems", systems] if systems else []
        return " ".join(words)


async def _measured(source: _Source, options: "BenchmarkOptions", file: "ResultFile") -> None:
    from media_gateway.benchmarking.run import run_benchmark

    note("making the rows")
    data = await source.read()
    note(f"{data.name}: {data.n:,} rows of {data.dimension} numbers, {len(data.queries):,} queries")
    await run_benchmark(data, options, file, note)


def print_results(results: "Sequence[Result]") -> None:
    """Print a table of *results*."""
    header = (
        "system",
        "recall",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "1 client/s",
        "4/s",
        "16/s",
        "rows/s",
        "build s",
        "disk",
        "memory",
    )
    rows = [
        (
            one.system,
            f"{one.recall:.3f}",
            f"{one.p50_ms:.2f}",
            f"{one.p95_ms:.2f}",
            f"{one.p99_ms:.2f}",
            f"{one.qps:,.0f}",
            f"{one.qps_4:,.0f}",
            f"{one.qps_16:,.0f}",
            f"{one.load_rows_per_s:,.0f}",
            f"{one.build_s:,.1f}",
            "-" if one.disk_bytes is None else size_of(one.disk_bytes),
            "-" if one.memory_bytes is None else size_of(one.memory_bytes),
        )
        for one in results
    ]
    print_table(header, rows, right=header[1:])
