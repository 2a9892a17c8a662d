"""Files of records that bring their own vectors: Parquet and npz."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_gateway.errors import DuplicateKeyError, FileFormatError, InvalidInputError, InvalidVectorError
from media_gateway.models import ContentVector
from media_gateway.transfer import open_vector_file

VECTORS = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
KEYS = ["movie-603", "tv-1399", "x/ü", "7"]
METADATA: list[dict[str, Any]] = [{"title": "The Matrix", "genre_ids": [28]}, {"deep": {"a": [1, None]}}, {}, {"n": 1}]
RECORDS = [
    ContentVector(key=key, vector=vector, metadata=metadata)
    for key, vector, metadata in zip(KEYS, VECTORS, METADATA, strict=True)
]


def read(path: Path, size: int = 3) -> list[ContentVector]:
    file = open_vector_file(path)
    assert file is not None
    batches = list(file.batches(size))
    assert all(len(batch) == size for batch in batches[:-1])
    return [record for batch in batches for record in batch]


def write_parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("key", ["id", "key"])
@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 3), pa.large_list(pa.float64()), pa.list_(pa.float16(), 3)]
)
def test_parquet(tmp_path: Path, key: str, kind: pa.DataType) -> None:
    vectors = pa.array([list(row.astype(kind.value_type.to_pandas_dtype())) for row in VECTORS], kind)
    texts = [json.dumps(metadata) for metadata in METADATA]
    assert read(write_parquet(tmp_path / "a.parquet", **{key: KEYS, "vector": vectors, "metadata": texts})) == RECORDS


def test_parquet_with_numbers_for_keys_and_columns_for_metadata(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet",
        id=[1, 2],
        vector=[[1.0, 2.0], [3.0, 4.0]],
        title=["One", None],
        metadata=pa.array([{"a": 1, "b": None}, None], pa.struct([("a", pa.int64()), ("b", pa.int64())])),
    )
    assert [(record.key, record.metadata) for record in read(path)] == [("1", {"a": 1, "title": "One"}), ("2", {})]


def test_a_parquet_map_is_metadata_too(tmp_path: Path) -> None:
    metadata = pa.array([[("a", "1"), ("b", None)]], pa.map_(pa.string(), pa.string()))
    path = write_parquet(tmp_path / "a.parquet", key=["k"], vector=[[1.0]], metadata=metadata)
    assert read(path)[0].metadata == {"a": "1"}


@pytest.mark.parametrize("names", [("keys", "vectors"), ("ids", "vectors"), ("id", "vector")])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path: Path, names: tuple[str, str], save: Callable[..., None]) -> None:
    path = tmp_path / "a.npz"
    arrays = {names[0]: np.array(KEYS), names[1]: VECTORS.astype(np.float64)}
    save(path, **arrays, metadata=np.array([json.dumps(metadata) for metadata in METADATA]))
    assert read(path) == RECORDS
    save(path, **{names[0]: np.arange(4), names[1]: VECTORS})
    assert [(record.key, record.metadata) for record in read(path)] == [(str(number), {}) for number in range(4)]


def test_files_of_content_are_left_to_others(tmp_path: Path) -> None:
    content: dict[str, Any] = {"id": [603], "media_type": ["movie"], "title": ["The Matrix"]}
    assert open_vector_file(write_parquet(tmp_path / "a.parquet", **content)) is None
    assert open_vector_file(write_parquet(tmp_path / "b.parquet", **content, vector=[[1.0]])) is None
    assert open_vector_file(write_parquet(tmp_path / "c.parquet", **content, vector=[[1.0]], key=["k"])) is not None
    assert open_vector_file(tmp_path / "d.jsonl") is None


def _npz(**arrays: Any) -> Callable[[Path], object]:
    return lambda path: np.savez(path, **arrays)


def _parquet(**columns: Any) -> Callable[[Path], object]:
    return lambda path: write_parquet(path, **columns)


DAMAGE: list[tuple[str, Callable[[Path], object], type[InvalidInputError], str]] = [
    ("a.npz", lambda path: path.write_bytes(b"PAR1"), FileFormatError, "is Parquet; expected npz"),
    ("a.npz", lambda path: path.write_bytes(b"hello"), FileFormatError, "is something else; expected npz"),
    ("a.npz", lambda path: path.write_bytes(b"PK\x03\x04cut"), FileFormatError, "is cut off or damaged after 7 bytes"),
    ("a.npz", lambda path: None, FileFormatError, "cannot be read"),
    ("a.npz", Path.mkdir, FileFormatError, "cannot be read"),
    ("a.npz", _npz(vectors=VECTORS), FileFormatError, "has the arrays vectors; expected one of key, keys, id, ids"),
    ("a.npz", _npz(keys=KEYS, ids=KEYS, vectors=VECTORS), FileFormatError, "has the arrays ids, keys"),
    ("a.npz", _npz(keys=np.array(KEYS, object), vectors=VECTORS), FileFormatError, "as texts (dtype str), not as obj"),
    ("a.npz", _npz(keys=KEYS[:3], vectors=VECTORS), FileFormatError, "vectors of the shape (4, 3)"),
    ("a.npz", _npz(keys=KEYS, vectors=VECTORS[0]), FileFormatError, "vectors of the shape (3,)"),
    ("a.npz", _npz(keys=KEYS, vectors=np.array([["a"]] * 4)), FileFormatError, "the type <U1; expected (4, d) numbers"),
    ("a.npz", _npz(keys=VECTORS, vectors=VECTORS), FileFormatError, "keys of the shape (4, 3)"),
    ("a.npz", _npz(keys=KEYS, vectors=VECTORS, metadata=[1] * 4), FileFormatError, "metadata of the shape (4,)"),
    ("a.npz", _npz(keys=KEYS, vectors=VECTORS, more=[1]), FileFormatError, "has an array 'more'"),
    ("a.npz", _npz(keys=np.array([], str), vectors=VECTORS[:0]), FileFormatError, "has no rows"),
    ("a.npz", _npz(keys=["a", "a"], vectors=VECTORS[:2]), DuplicateKeyError, "row 2: 'a' was given on row 1"),
    ("a.npz", _npz(keys=["a"], vectors=[[np.nan]]), InvalidVectorError, "row 1: vector holds NaN"),
    ("a.npz", _npz(keys=["a"], vectors=np.zeros((1, 0))), InvalidVectorError, "row 1: vector has the norm 0"),
    ("a.npz", _npz(keys=["", "a"], vectors=VECTORS[:2]), InvalidInputError, "row 1: the key '' has 0 bytes"),
    ("a.npz", _npz(keys=["a"], vectors=VECTORS[:1], metadata=["{"]), InvalidInputError, "row 1: metadata holds '{'"),
    ("a.npz", _npz(keys=["a"], vectors=VECTORS[:1], metadata=["7"]), InvalidInputError, "row 1: metadata holds 7"),
    ("a.parquet", lambda path: path.write_bytes(b"PAR1" * 4), FileFormatError, "is damaged"),
    ("a.parquet", _parquet(vector=[[1.0]]), FileFormatError, "has no column 'key'"),
    ("a.parquet", _parquet(key=["a", "b"], vector=[[1.0], [1.0, 2.0]]), InvalidVectorError, "row 2: its vector has 2"),
    (
        "a.parquet",
        _parquet(key=["a"], vector=pa.array([None], pa.list_(pa.float32()))),
        InvalidVectorError,
        "no vector",
    ),
    ("a.parquet", _parquet(key=["a"], vector=["text"]), InvalidVectorError, "expected a row of numbers"),
    ("a.parquet", _parquet(key=[None], vector=[[1.0]]), InvalidInputError, "row 1: a key is None"),
    ("a.parquet", _parquet(key=["a"], vector=[[1.0]], metadata=[5]), InvalidInputError, "row 1: metadata holds 5"),
    (
        "a.parquet",
        _parquet(key=["a"], vector=[[1.0]], metadata=['{"t": 1}'], t=[2]),
        FileFormatError,
        "has 't' as a column and in its metadata",
    ),
]


@pytest.mark.parametrize(("name", "make", "kind", "said"), DAMAGE, ids=[case[3] for case in DAMAGE])
def test_what_cannot_be_taken_is_named(
    tmp_path: Path, name: str, make: Callable[[Path], object], kind: type[InvalidInputError], said: str
) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(kind) as caught:
        read(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, keys=KEYS, vectors=VECTORS)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileFormatError):
        read(path)


@given(position=st.integers(0, 2_000), byte=st.integers(0, 255))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damaged_byte_breaks_the_reader(tmp_path: Path, position: int, byte: int) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, keys=KEYS, vectors=VECTORS)
    data = bytearray(path.read_bytes())
    data[position % len(data)] = byte
    path.write_bytes(data)
    try:
        read(path)
    except InvalidInputError as error:
        assert "\n" not in str(error)  # noqa: PT017  some bytes do no harm
