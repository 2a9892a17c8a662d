"""How far a resumable transfer is, read beside the process that runs it."""

import os
import time
from pathlib import Path

from media_gateway.transfer.copy import Copied
from media_gateway.transfer.journal import TransferJournal
from media_gateway.transfer.sources import Batch
from media_gateway.transfer.watching import newest_progress
from tests.samples import records

TERMS = {"from": "memory:a", "to": "postgres:b"}


def step(journal: TransferJournal, read: int) -> None:
    batch = Batch(records=records(3, 4), place=f"movie-{read}")
    journal.begin(batch)
    journal.done(batch, Copied(read=read, written=read, kept=0))


def test_without_a_transfer_there_is_nothing(tmp_path: Path):
    assert newest_progress(tmp_path / "nowhere") is None
    (tmp_path / "x.journal").write_text("something else\n")
    assert newest_progress(tmp_path) is None


def test_it_grows_while_the_transfer_runs_and_ends_with_it(tmp_path: Path):
    path = tmp_path / "a.journal"
    with TransferJournal(path, TERMS) as journal:
        assert newest_progress(tmp_path) is not None
        journal.expected = 2_000
        step(journal, 3)
        # As steps do, without their syncing.
        last = path.read_bytes().splitlines(keepends=True)[-2:]
        with path.open("ab") as file:
            file.writelines(last * 700)
        step(journal, 1_998)
        found = newest_progress(tmp_path)
        assert found is not None
        assert (found.done, found.expected, found.is_finished) == (1_998, 2_000, False)
        assert found.idle < 60
        journal.finish()
    assert path.stat().st_size > 64 * 1024, "longer than what is read of it"
    found = newest_progress(tmp_path)
    assert found is not None
    assert found.is_finished


def test_the_one_that_was_written_to_last_counts_for_a_day(tmp_path: Path):
    for name, read, age in (("old", 3, 3600.0), ("new", 6, 60.0)):
        with TransferJournal(tmp_path / f"{name}.journal", TERMS) as journal:
            step(journal, read)
        at = time.time() - age
        os.utime(journal.path, (at, at))
    found = newest_progress(tmp_path)
    assert found is not None
    assert (found.done, found.expected) == (6, None)
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    assert newest_progress(tmp_path) is None


def test_a_last_step_that_is_cut_off_does_not_count(tmp_path: Path):
    with TransferJournal(tmp_path / "a.journal", TERMS) as journal:
        step(journal, 3)
    with journal.path.open("a") as file:
        file.write('{"done": "z", "read": 99')
    found = newest_progress(tmp_path)
    assert found is not None
    assert found.done == 3
