"""The figures of an evaluation as JSON, tables and plots, of all methods and of some."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media_gateway.drawing import GREY, PALETTE
from media_gateway.errors import FileFormatError
from media_gateway.learning.evaluation.files import as_json, read_results, write_results
from media_gateway.learning.evaluation.log import event_log
from media_gateway.learning.evaluation.report import methods_of, tables, write_report
from media_gateway.learning.evaluation.run import Subject, evaluate
from media_gateway.learning.interests.memory import MemoryInterests
from tests.unit.test_learning_evaluation import SMALL, catalogue, made_up

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def nothing_opened() -> AsyncIterator[MemoryInterests]:
    raise AssertionError("our method was not asked for")
    yield MemoryInterests()


async def embedded(texts: list[str]) -> Any:
    return np.ones((len(texts), 12))


async def evaluated(*methods: str, model: Any = nothing_opened) -> dict[str, Any]:
    subject = Subject(
        log=event_log(catalogue(), made_up()),
        open_model=model,
        learner="event by event in a test",
        settings=SMALL,
        embed=embedded,
        narrow=lambda query: np.arange(60) % 2 == 1 if "drama" in query else None,
    )
    return as_json(await evaluate(subject, on_work=lambda _: None, methods=methods))


async def test_only_the_methods_that_are_asked_for_are_run(tmp_path: Path) -> None:
    results = await evaluated("popularity", "text")
    assert methods_of(results) == ["popularity", "text"]
    assert (results["learner"], results["incremental"], results["forgetting"]) == (None, [], None)
    assert [goal["goal"] for goal in results["goals"]] == [
        "held-out queries, against text",
        "queries without a filter, against text + popularity",
    ]
    text = tables(results)
    assert "learned" not in text
    assert re.search(r"^\| popularity \| \.\d{3} \(\.\d{3}-\.\d{3}\) \|", text, re.MULTILINE)
    path = tmp_path / "results.json"
    write_results(path, results)
    assert tables(read_results(path)) == text


def all_figures() -> dict[str, Any]:
    """Results of every kind, as a run of all methods writes them."""
    low_to_high = {"value": 0.2, "low": 0.125, "high": 0.25}
    ratio = {"value": 1.01, "low": 0.98, "high": 1.04}
    methods = {"popularity": low_to_high, "EASE": {"value": None, "low": None, "high": None}, "ours": low_to_high}
    tasks = {"a_before": 0.3, "a_after": 0.31, "b_after": 0.2, "b_alone": 0.2, "a_kept": ratio, "b_learned": ratio}
    by_query = dict.fromkeys(("text", "text + popularity", "parsed filters + popularity"), low_to_high)
    return {
        "learner": "event by event in memory",
        "ms_an_event": 0.25,
        "ndcg_at_10": {"G": {"users": 5, "methods": methods}, "C5 tail": {"users": 4, "methods": methods}},
        "goals": [{"goal": "forgetting, A kept", "wanted": 0.98, **ratio, "met": True}],
        "chosen": {"text + popularity": {"G": {"halflife_days": "never", "text_weight": 0.1}}},
        "incremental": [{"protocol": "C5 tail", "per_event": 0.2, "refreshed": 0.198, "ratio": ratio}],
        "forgetting": tasks,
        "queries": {"count": 8, "seen": by_query, "held_out": by_query, "other": by_query},
    }


def test_tables_tell_all_figures() -> None:
    text = tables(all_figures())
    for line in (
        "| forgetting, A kept | 0.98 | 1.010 (.980-1.040) | yes |",
        "NDCG@10. `ours` learned event by event in memory, 0.25 ms an event, answers included.",
        "| method | G (5 users) | C5 tail (4 users) |",
        "| EASE | - | - |",
        "| **ours** | .200 (.125-.250) | .200 (.125-.250) |",
        "| C5 tail | .200 | .198 | 1.010 (.980-1.040) |",
        "| A | .300 | .310 | 1.010 (.980-1.040) |",
        "| parsed filters + popularity | .200 (.125-.250) | .200 (.125-.250) | .200 (.125-.250) |",
        "| text + popularity | G | halflife days never, text weight 0.1 |",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"goals": 5}', '[{"system": "postgres"}]'])
def test_other_files_hold_no_results(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(FileFormatError, match="holds no results of media-gateway learn evaluate"):
        read_results(path)
    with pytest.raises(FileFormatError, match="nowhere"):
        read_results(tmp_path / "nowhere")


@pytest.mark.full
def test_plots_stand_beside_the_page_that_shows_them(tmp_path: Path) -> None:
    page = tmp_path / "learning.md"
    write_report(page, all_figures())
    shown = re.findall(r"^!\[.+\]\((.+)\)$", page.read_text(), re.MULTILINE)
    assert shown == ["learning/methods.svg", "learning/ratios.svg", "learning/queries.svg"]
    drawn = {name: (tmp_path / name).read_bytes() for name in shown}
    for svg in drawn.values():
        colours = set(re.findall(rb"(?:fill|stroke): (#\w+)", svg))
        # All of middling lightness, and nothing behind them: on white and on black alike.
        assert colours <= {colour.encode() for colour in (GREY, *PALETTE)}
        assert {GREY.encode(), PALETTE[0].encode()} <= colours
    write_report(page, json.loads(json.dumps(all_figures())))
    assert {name: (tmp_path / name).read_bytes() for name in shown} == drawn
    write_report(page, all_figures() | {"incremental": [], "forgetting": None, "queries": None})
    assert page.read_text().count("![") == 1
