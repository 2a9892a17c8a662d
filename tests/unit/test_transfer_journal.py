"""The journal of a resumable transfer: what it says after whatever cut it off."""

from pathlib import Path

import pytest

from media_gateway.errors import FileFormatError, InvalidInputError, StoreLockedError
from media_gateway.transfer.copy import Copied
from media_gateway.transfer.journal import Standing, TransferJournal
from media_gateway.transfer.sources import Batch
from tests.samples import records

TERMS = {"from": "memory:a", "to": "postgres:b", "conflicts": "fail"}
BATCH = Batch(records=records(3, 4), place="movie-2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with TransferJournal(tmp_path / "new" / "a.journal", TERMS) as journal:
        assert journal.is_new
        journal.begin(BATCH)
        journal.done(BATCH, Copied(read=3, written=2, kept=1))
        journal.begin(Batch(records=records(2, 4), place="z"))
    return journal.path


def standing(path: Path) -> Standing:
    with TransferJournal(path, TERMS) as journal:
        return journal.standing


ACKNOWLEDGED = Standing(place="movie-2", last="movie-2", copied=Copied(read=3, written=2, kept=1))


def test_it_tells_how_far_the_transfer_is(path: Path):
    assert standing(path) == Standing(
        place="movie-2", last="movie-2", copied=Copied(read=3, written=2, kept=1), is_unsure=True
    )
    with TransferJournal(path, TERMS) as journal:
        journal.finish()
    assert standing(path).is_finished


def test_cut_off_anywhere_it_says_no_more_than_what_was_written(path: Path):
    whole = path.read_bytes()
    allowed = [Standing(), Standing(is_unsure=True), ACKNOWLEDGED, standing(path)]
    seen: list[Standing] = []
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        found = standing(path)
        assert found in allowed
        if found not in seen:
            seen.append(found)
        assert standing(path) == found
    assert seen == allowed


@pytest.mark.parametrize("name", list(TERMS))
def test_other_terms_are_refused(path: Path, name: str):
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match=f"with {name} '.*', but this one has 'other'"):
        TransferJournal(path, {**TERMS, name: "other"})
    assert path.read_bytes() == before


def test_one_process_at_a_time(path: Path):
    with TransferJournal(path, TERMS), pytest.raises(StoreLockedError, match="the same transfer runs"):
        TransferJournal(path, TERMS)


@pytest.mark.parametrize("text", ["hello", "hello\n", "[]\n", "{}\n", '{"transfer": 2}\n'])
def test_another_file_is_refused_and_left_alone(tmp_path: Path, text: str):
    path = tmp_path / "x"
    path.write_text(text)
    with pytest.raises(FileFormatError):
        TransferJournal(path, TERMS)
    assert path.read_text() == text
