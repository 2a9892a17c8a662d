"""Measure keyword, meaning and hybrid search on the sample catalogue by NDCG@10 over judged queries.

    python benchmarks/hybrid_search.py                the table
    python benchmarks/hybrid_search.py --json FILE    the same as JSON, with the figure of every query
    python benchmarks/hybrid_search.py --choose       which parameters do best, chosen on one half and tried on the other

The catalogue is embedded by the local model and loaded into an embedded PostgreSQL in a temporary folder. The queries
are in `src/media_gateway/data/hybrid_queries.jsonl`, a third of each kind: names, titles and years that records hold
as words; descriptions that share no word with the titles that they mean; and mixtures. They and their grades were
written from what the films are, before any search had seen them: 3 is what is meant, 2 and 1 are other good answers.

NDCG@10 with gains 2^grade - 1 (Burges et al., 2005). Intervals are 95 % of 10,000 bootstrap samples of the queries;
differences are of the same queries in pairs.
"""

import argparse
import asyncio
import itertools
import json
import math
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from media_gateway.database.server import EmbeddedServer
from media_gateway.gateway import Gateway
from media_gateway.models import HybridWeights, MediaContent, SearchMode
from media_gateway.settings import Settings
from media_gateway.stores.postgres import hybrid
from media_gateway.wiring import open_gateway

K = 10
GROUPS = ("words", "meaning", "mixed")
MODES: tuple[SearchMode, ...] = ("words", "meaning", "hybrid")
SAMPLES = 10_000
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Judged:
    text: str
    group: str
    grades: dict[str, int]


def lines(name: str) -> list[Any]:
    text = resources.files("media_gateway").joinpath(f"data/{name}").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def judged_queries() -> list[Judged]:
    return [
        Judged(text=line["query"], group=line["group"], grades=line["grades"]) for line in lines("hybrid_queries.jsonl")
    ]


def ndcg(grades: dict[str, int], keys: Sequence[str]) -> float:
    def gain(values: Sequence[int]) -> float:
        return sum((2**value - 1) / math.log2(place + 2) for place, value in enumerate(values[:K]))

    return gain([grades.get(key, 0) for key in keys]) / gain(sorted(grades.values(), reverse=True))


async def measured(
    gateway: Gateway, queries: Sequence[Judged], mode: SearchMode, weights: HybridWeights | None = None
) -> list[float]:
    """Return the NDCG@10 of each query."""
    figures: list[float] = []
    for query in queries:
        result = await gateway.search(query.text, mode=mode, weights=weights, k=K)
        figures.append(ndcg(query.grades, [hit.key for hit in result.hits]))
    return figures


def interval(figures: Sequence[float]) -> tuple[float, float]:
    """Return the bounds of the mean that 95 % of bootstrap samples lie in."""
    values = np.array(figures)
    places = np.random.default_rng(SEED).integers(0, len(values), (SAMPLES, len(values)))
    low, high = np.percentile(values[places].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def summary(queries: Sequence[Judged], figures: dict[SearchMode, list[float]]) -> list[dict[str, Any]]:
    """Return a row for each group and for all queries: their number, and mean and interval of each mode."""
    rows: list[dict[str, Any]] = []
    for group in (*GROUPS, "all"):
        places = [place for place, query in enumerate(queries) if group in (query.group, "all")]
        row: dict[str, Any] = {"queries": group, "count": len(places)}
        for mode, values in figures.items():
            chosen = [values[place] for place in places]
            row[mode] = {"ndcg@10": statistics.fmean(chosen), "interval": interval(chosen)}
        for mode in ("words", "meaning"):
            gains = [figures["hybrid"][place] - figures[mode][place] for place in places]
            row[f"hybrid over {mode}"] = {"gain": statistics.fmean(gains), "interval": interval(gains)}
        rows.append(row)
    return rows


def print_summary(rows: Sequence[dict[str, Any]]) -> None:
    print("| queries | number | words | meaning | hybrid | hybrid over words | hybrid over meaning |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [f"{row[mode]['ndcg@10']:.3f} ({_range(row[mode]['interval'])})" for mode in MODES]
        for mode in ("words", "meaning"):
            gain = row[f"hybrid over {mode}"]
            cells.append(f"{gain['gain']:+.3f} ({_range(gain['interval'], '+')})")
        print(f"| {row['queries']} | {row['count']} | {' | '.join(cells)} |")


def _range(bounds: tuple[float, float], sign: str = "") -> str:
    return " to ".join(f"{bound:{sign}.3f}" for bound in bounds)


async def choose(gateway: Gateway, queries: Sequence[Judged]) -> None:
    """Print the parameters that do best on every other query, and what they give on the rest, and the other way round."""
    fields = ("{0.1, 0.2, 0.4, 1.0}", "{0.4, 0.2, 1.0, 1.0}", "{0.8, 0.2, 1.0, 1.0}")
    tried: dict[tuple[str, float, float, float], list[float]] = {}
    for setting in itertools.product(fields, (0.0, 0.2, 0.3, 0.4), (0.0, 0.6), (1.0, 2.0)):
        parameters = dict(zip(("FIELDS", "LEAST_SHARE", "LEAST_OF_BEST"), setting[:3], strict=True))
        with mock.patch.multiple(hybrid, **parameters):
            weights = HybridWeights(text=setting[3], vector=1.0)
            tried[setting] = await measured(gateway, queries, "hybrid", weights)
    for first, name in ((0, "even"), (1, "odd")):
        best = max(tried, key=lambda setting: statistics.fmean(tried[setting][first::2]))
        print(
            f"chosen on the {name} half: fields, least share, least of best, text weight = {best}; "
            f"there {statistics.fmean(tried[best][first::2]):.3f}, "
            f"on the other half {statistics.fmean(tried[best][1 - first :: 2]):.3f}"
        )


async def run(options: argparse.Namespace) -> None:
    queries = judged_queries()
    contents = [MediaContent.from_mapping(line) for line in lines("catalogue.jsonl")]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.read(
            backend="postgres",
            embedded_path=Path(folder) / "embedded",
            embedding_provider="local",
            search_log_share=0.0,
        )
        try:
            async with open_gateway(settings) as gateway:
                await gateway.add(contents)
                if options.choose:
                    await choose(gateway, queries)
                    return
                figures = {mode: await measured(gateway, queries, mode) for mode in MODES}
        finally:
            EmbeddedServer(settings.embedded_path).stop()
    rows = summary(queries, figures)
    print_summary(rows)
    if options.json:
        each = [
            {"query": query.text, "group": query.group, **{mode: figures[mode][place] for mode in MODES}}
            for place, query in enumerate(queries)
        ]
        options.json.write_text(json.dumps({"rows": rows, "queries": each, "seed": SEED}, indent=2) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--choose", action="store_true", help="try other parameters, on halves")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
