"""The rollout's own files: states, intents, the report."""

import asyncio
import json
import multiprocessing
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_gateway.errors import SnapshotDamagedError, StoreFullError
from media_gateway.models import ChangePosition
from media_gateway.rollout.ledger import Ledger, LiveFacts, _open_lines, read_ledger
from media_gateway.rollout.report import ReportFile
from media_gateway.rollout.state import RolloutState, latest, new_state
from media_gateway.rollout.state_file import StateFile

pytestmark = pytest.mark.anyio


def state(former: RolloutState | None = None, **changes: object) -> RolloutState:
    return new_state(former, **{"mode": "canary", "percent": 25.0, "who": "a@b", "why": "because", **changes})  # type: ignore[arg-type]


def test_the_highest_epoch_holds_and_then_the_later_time():
    first = state()
    second = state(first)
    rival = RolloutState.parsed({**second.as_json(), "id": "x", "at": (second.at + timedelta(seconds=1)).isoformat()})
    assert latest([second, first]) == second
    assert latest([rival, second]) == latest([second, rival]) == rival
    assert latest([]) is None
    assert (first.epoch, second.epoch) == (1, 2)


def test_a_state_comes_back_as_it_was_written(tmp_path: Path):
    file = StateFile(tmp_path / "deep" / "state")
    assert file.latest() is None
    written = state(tripped=True, why="ü \n '")
    file.add(written, is_recorded=False)
    again = StateFile(file.path)
    assert again.latest() == written
    assert again.unrecorded() == [written]
    file.note_recorded([written])
    assert again.unrecorded() == []
    assert again.states() == [written]


def test_a_rollout_belongs_to_the_file_that_it_was_begun_beside(tmp_path: Path):
    first = state(mode="off", percent=0)
    here, there = StateFile(tmp_path / "here"), StateFile(tmp_path / "there")
    assert not here.was_begun_here()
    here.add(first, is_recorded=False)
    here.note_recorded([first])
    there.add(first, is_recorded=True)
    there.add(state(first), is_recorded=False)
    assert here.was_begun_here()
    assert not there.was_begun_here(), "a later state that is set from elsewhere changes nothing"
    over = state(first, mode="on", percent=100, follows=False)
    for file in (here, there):
        file.add(over, is_recorded=file is there)
        assert not file.was_begun_here()
    again = state(over)
    there.add(again, is_recorded=False)
    here.add(again, is_recorded=True)
    assert StateFile(there.path).was_begun_here()
    assert not here.was_begun_here()
    here.claim()
    assert StateFile(here.path).was_begun_here()
    assert here.unrecorded() == [over]


def test_a_file_of_before_places_were_noted_is_taken_for_the_place(tmp_path: Path):
    file = StateFile(tmp_path / "state")
    file.add(state(), is_recorded=True)
    former = {name: value for name, value in json.loads(file.path.read_text()).items() if name != "heard"}
    file.path.write_text(json.dumps(former))
    assert StateFile(file.path).was_begun_here()


def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path):
    for content in (b"", b"{", b'{"version": 2}', b'{"version": 1, "entries": [{}], "unrecorded": []}'):
        (tmp_path / "state").write_bytes(content)
        with pytest.raises(SnapshotDamagedError, match="is not the state of a rollout"):
            StateFile(tmp_path / "state").latest()
        assert (tmp_path / "state").read_bytes() == content


def test_entries_that_the_table_lacks_are_never_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("media_gateway.rollout.state_file._KEPT", 10)
    file = StateFile(tmp_path / "state")
    lacking = state()
    file.add(lacking, is_recorded=False)
    last = lacking
    for _ in range(15):
        last = state(last)
        file.add(last, is_recorded=True)
    assert file.unrecorded() == [lacking]
    assert len(file.states()) == 11
    assert file.latest() == last


def _add_some(path: str) -> None:
    file = StateFile(Path(path))
    for _ in range(20):
        file.add(state(file.latest()), is_recorded=False)


def test_processes_at_once_lose_no_entry(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add_some, args=(str(tmp_path / "state"),)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(StateFile(tmp_path / "state").states()) == 40


def left_open(path: Path) -> dict[str, str]:
    """Return what the ledger at *path* holds open."""
    ledger = Ledger(path)
    ledger._file.close()
    return dict(ledger.open)


async def test_intents_survive_and_what_was_done_does_not(tmp_path: Path):
    ledger = Ledger(tmp_path / "intents")
    await ledger.begin(["a", "b"], "memory")
    await ledger.begin(["c"], "postgres")
    ledger.close_keys(["a", "b"])
    assert set(ledger.open) == {"a", "b", "c"}, "a write that is under way keeps its intent"
    ledger.end(["a", "b"])
    ledger.end(["c"])
    ledger.close_keys(["a"])
    facts = LiveFacts(truth="postgres", is_complete=True, position=ChangePosition(log="x", transaction=7, number=2))
    await ledger.set_facts(facts)
    for _ in range(2):
        again = Ledger(tmp_path / "intents")
        assert again.open == {"b": "memory", "c": "postgres"}
        assert again.facts == facts
        await again.aclose()
    await ledger.aclose()


async def test_facts_that_are_changed_at_once_and_a_position_beside_bring_nothing_former_back(tmp_path: Path):
    ledger = Ledger(tmp_path / "intents")
    position = ChangePosition(log="x", transaction=7, number=2)
    await ledger.set_facts(LiveFacts(truth="postgres", position=position))
    changes = [
        asyncio.create_task(ledger.change_facts(LiveFacts(), lambda facts: replace(facts, truth="memory"))),
        asyncio.create_task(ledger.change_facts(LiveFacts(), lambda facts: replace(facts, is_complete=True))),
    ]
    await asyncio.sleep(0)
    ledger.note_position(replace(position, transaction=8))
    await asyncio.gather(*changes)
    await ledger.aclose()
    expected = LiveFacts(truth="memory", is_complete=True, position=position)
    assert ledger.facts == read_ledger(tmp_path / "intents").facts == expected


async def test_the_last_store_of_a_key_counts(tmp_path: Path):
    ledger = Ledger(tmp_path / "intents")
    await ledger.begin(["a"], "memory")
    ledger.end(["a"])
    await ledger.begin(["a"], "postgres")
    await ledger.aclose()
    assert left_open(tmp_path / "intents") == {"a": "postgres"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 10_000), garbage=st.binary(max_size=20))
def test_a_torn_end_is_passed_over(tmp_path: Path, cut: int, garbage: bytes):
    path = tmp_path / "intents"
    path.unlink(missing_ok=True)
    lines = [_open_lines([f"key-{number}"], "memory")[0] for number in range(5)]
    data = b"".join(lines)
    end = cut % (len(data) + 1)
    path.write_bytes(data[:end] + (garbage if end < len(data) else b""))
    found = set(left_open(path))
    sound = sum(end >= sum(map(len, lines[: number + 1])) for number in range(len(lines)))
    assert {f"key-{number}" for number in range(sound)} <= found
    assert found <= {f"key-{number}" for number in range(min(len(lines), sound + 1))}


async def test_a_ledger_that_cannot_be_written_refuses_the_write(tmp_path: Path):
    ledger = Ledger(tmp_path / "intents")
    await ledger.aclose()
    ledger._file = ledger.path.open("rb", buffering=0)  # type: ignore[assignment]
    with pytest.raises(StoreFullError, match="cannot write"):
        await ledger.begin(["a"], "memory")
    assert not ledger.is_under_way("a")
    ledger._file.close()


async def test_a_long_ledger_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("media_gateway.rollout.ledger._COMPACT_BYTES", 2_000)
    ledger = Ledger(tmp_path / "intents")
    for number in range(200):
        await ledger.begin([f"key-{number % 3}"], "memory")
        ledger.end([f"key-{number % 3}"])
        ledger.close_keys([f"key-{number % 3}"])
    await ledger.begin(["open"], "postgres")
    assert ledger.path.stat().st_size < 4_000
    await ledger.aclose()
    assert left_open(ledger.path) == {"open": "postgres"}


def test_a_report_counts_while_its_process_lives_and_is_fresh(tmp_path: Path):
    report = ReportFile(tmp_path / "report")
    assert report.read() is None
    report.write({"epoch": 3})
    found = report.read()
    assert found is not None
    assert (found["epoch"], found["pid"]) == (3, os.getpid())
    now = datetime.now(UTC).isoformat()
    report.path.write_text(report.path.read_text().replace(found["at"], now.replace("20", "19", 1)))
    assert report.read() is None
    report.remove()
    report.remove()
