"""Files of records: what is written comes back bit for bit, and says what made its vectors."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from media_gateway.errors import (
    DuplicateKeyError,
    FileFormatError,
    InvalidInputError,
    ModelMismatchError,
    StoreError,
)
from media_gateway.models import ContentVector, VectorSpace
from media_gateway.models.digests import row_hash
from media_gateway.transfer.record_files import open_record_file
from media_gateway.transfer.record_writers import WRITERS
from media_gateway.transfer.replacing import written_whole
from media_gateway.validation import checked_items
from tests.samples import records
from tests.strategies import batches

SPACE = VectorSpace(model="a model, größer", dimension=4)
SUFFIXES = list(WRITERS)


def write(path: Path, *given_batches: list[ContentVector], space: VectorSpace = SPACE) -> Path:
    with written_whole(path) as file:
        writer = WRITERS[path.suffix](file, space)
        for batch in given_batches:
            writer.write(batch)
        writer.finish()
    return path


def read(path: Path, **options: str) -> list[ContentVector]:
    return [record for batch in open_record_file(path, **options).batches(7) for record in batch]


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=batches(max_size=8))
def test_records_come_back_bit_for_bit(tmp_path: Path, suffix: str, items: list[ContentVector]):
    checked = checked_items(items, 4)
    path = write(tmp_path / f"records{suffix}", *([checked] if checked else []))
    assert list(map(row_hash, read(path))) == list(map(row_hash, checked))
    file = open_record_file(path)
    assert (file.space, file.count()) == (SPACE, len(items))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_kinds_of_float32_come_back(tmp_path: Path, suffix: str):
    generator = np.random.default_rng(5)
    bits = generator.integers(0, 2**32, (2000, 4), dtype=np.uint32) & np.uint32(0xBFFFFFFF)
    rows = np.abs(bits.view(np.float32))
    rows[:, 0] = 1
    rows[:, 1] = -0.0
    items = [ContentVector(key=f"k{number}", vector=row) for number, row in enumerate(rows)]
    found = read(write(tmp_path / f"records{suffix}", items[:1500], items[1500:]))
    assert [one.vector.tobytes() for one in found] == [one.vector.tobytes() for one in items]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_records_keeps_its_space(tmp_path: Path, suffix: str):
    path = write(tmp_path / f"empty{suffix}")
    assert read(path) == []
    assert open_record_file(path).space == SPACE


def test_the_standard_form_is_what_other_programs_expect(tmp_path: Path):
    path = write(tmp_path / "a.parquet", records(3, 4))
    schema = pq.read_schema(path)
    assert schema.names == ["id", "vector", "metadata"]
    assert pa.types.is_fixed_size_list(schema.field("vector").type)
    assert schema.field("vector").type.list_size == 4
    assert schema.field("vector").type.value_type == pa.float32()
    assert json.loads(pq.read_table(path)["metadata"][0].as_py())["title"] == "Title 0"


def test_a_model_must_be_known_and_agree(tmp_path: Path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"id": "a", "vector": [1, 2], "metadata": "{\\"n\\": 1}"}\n{"key": "b", "vector": [3, 4.5]}\n')
    with pytest.raises(InvalidInputError, match="does not say what model made its vectors of 2 numbers; name it"):
        open_record_file(path)
    file = open_record_file(path, model="mine")
    assert (file.space, file.facts.count) == (VectorSpace(model="mine", dimension=2), None)
    assert [(one.key, dict(one.metadata)) for one in read(path, model="mine")] == [("a", {"n": 1}), ("b", {})]
    named = write(tmp_path / "a.parquet", records(3, 4))
    with pytest.raises(ModelMismatchError, match="made by a model, größer, but --model is other"):
        open_record_file(named, model="other")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"id": "a", "vector": [1, 2]}\n{"id": "b", "vector": [1]}\n', "line 2: its vector has 1 numbers"),
        ('{"id": "a", "vector": [1, 2]}\n{"id": "a", "vector": [1, 3]}\n', "line 2: 'a' was given on"),
        ('{"id": "a", "vector": [1, NaN]}\n', "no JSON object on line 1"),
        ('{"id": "a", "vector": [1, 2], "metadata": "{"}\n', "line 1: metadata holds '{'"),
        ('{"id": 603, "media_type": "movie", "title": "T", "vector": [1]}\n', "holds films and series"),
        ("", "has no rows and names no dimension"),
    ],
)
def test_a_row_that_is_unsound_is_named(tmp_path: Path, text: str, said: str):
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as raised:
        read(path, model="m")
    assert said in str(raised.value)


def test_what_is_only_compared_is_passed_on_as_it_is(tmp_path: Path):
    table = pa.table({"id": ["a", "a"], "vector": [[1.0, float("nan")], [1.0, 2.0]]})
    pq.write_table(table.set_column(1, "vector", table["vector"].cast(pa.list_(pa.float32()))), tmp_path / "a.parquet")
    file = open_record_file(tmp_path / "a.parquet", model="m")
    assert [one.key for batch in file.batches(5, is_checked=False) for one in batch] == ["a", "a"]
    with pytest.raises(InvalidInputError):
        list(file.batches(5))


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path):
    path = write(tmp_path / "a.parquet", records(3, 4))
    before = path.read_bytes()

    def broken() -> None:
        with written_whole(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.parquet"]
    with pytest.raises(StoreError, match="cannot write .*b.npz: "), written_whole(path / "b.npz"):
        pass


def test_a_file_that_changes_has_another_identity(tmp_path: Path):
    path = write(tmp_path / "a.jsonl", records(3, 4))
    file = open_record_file(path)
    before = file.identity()
    assert file.identity() == before
    path.write_bytes(path.read_bytes().replace(b"Title 0", b"Title 9"))
    assert file.identity() != before


def test_a_flipped_bit_in_a_file_is_noticed(tmp_path: Path):
    path = write(tmp_path / "a.parquet", records(300, 4), records(200, 4, prefix="tv"))
    whole = path.read_bytes()
    for place in (400, len(whole) // 3, len(whole) // 2):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match="is damaged"):
            read(path)


def test_a_cut_off_file_is_refused(tmp_path: Path):
    for suffix in (".parquet", ".npz"):
        path = write(tmp_path / f"a{suffix}", records(30, 4))
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(FileFormatError):
            read(path)


def test_keys_come_once(tmp_path: Path):
    path = write(tmp_path / "a.parquet", [*records(3, 4), records(1, 4)[0]])
    with pytest.raises(DuplicateKeyError):
        read(path)
