"""Reading content from files: what is understood, and everything that is refused before a row is written."""

import csv
import gzip
import json
import os
import shutil
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from media_gateway.errors import (
    DuplicateKeyError,
    FileFormatError,
    InvalidContentError,
    InvalidInputError,
    InvalidVectorError,
)
from media_gateway.models import MediaContent
from media_gateway.transfer import ContentRow, open_content_file

FILM = {"id": 603, "media_type": "movie", "title": "The Matrix", "overview": "A hacker wakes up."}
FULL = {
    **FILM,
    "genre_ids": [28, 878],
    "vote_average": 8.2,
    "release_date": "1999-03-30",
    "poster_path": "/m.jpg",
    "extra": {"country": "US", "runtime": 136},
}
SERIES = {"id": 603, "media_type": "tv", "title": "Another"}
WANTED = MediaContent.from_mapping(FULL)


def rows(path: Path, size: int = 100) -> list[ContentRow]:
    return [row for batch in open_content_file(path).batches(size) for row in batch]


def contents(path: Path) -> list[MediaContent]:
    return [row.content for row in rows(path)]


def write_jsonl(path: Path, entries: list[Any]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def write_csv(path: Path, table: list[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(table)
    return path


def write_parquet(path: Path, entries: list[dict[str, Any]], schema: pa.Schema | None = None) -> Path:
    pq.write_table(pa.Table.from_pylist(entries, schema=schema), path)
    return path


def test_the_sample_catalogue_is_read_in_batches() -> None:
    path = Path(str(files("media_gateway") / "data" / "catalogue.jsonl"))
    sizes = [len(batch) for batch in open_content_file(path).batches(100)]
    assert sizes[:-1] == [100] * (len(sizes) - 1)
    assert sum(sizes) >= 300


def test_a_file_can_be_read_again(tmp_path: Path) -> None:
    file = open_content_file(write_jsonl(tmp_path / "a.jsonl", [FULL, SERIES]))
    assert [len(batch) for batch in file.batches(1)] == [1, 1]
    assert [len(batch) for batch in file.batches(5)] == [2]


def test_jsonl_with_a_mark_blank_lines_and_other_names(tmp_path: Path) -> None:
    path = tmp_path / "a.NDJSON"
    lines = json.dumps({**FULL, "studio": {"name": "W"}}, ensure_ascii=False)
    path.write_bytes(b"\xef\xbb\xbf" + lines.encode() + b"\r\n\r\n" + json.dumps(SERIES).encode())
    first, second = rows(path)
    assert first.content.extra == {"country": "US", "runtime": 136, "studio": {"name": "W"}}
    assert (second.content.key, second.place) == ("tv-603", "line 3")


def test_csv_cells_become_values(tmp_path: Path) -> None:
    header = [
        "id",
        "media_type",
        "title",
        "overview",
        "genre_ids",
        "vote_average",
        "release_date",
        "poster_path",
        "extra",
    ]
    table = [
        header,
        [
            "603",
            "movie",
            "The Matrix",
            FILM["overview"],
            "28|878",
            "8.2",
            "1999-03-30",
            "/m.jpg",
            json.dumps(FULL["extra"]),
        ],
        ["604.0", "movie", 'Two\nlines, "quoted"', "", "[28]", "", "", "", ""],
    ]
    first, second = contents(write_csv(tmp_path / "a.csv", table))
    assert first == WANTED
    assert second == MediaContent(id=604, media_type="movie", title='Two\nlines, "quoted"', genre_ids=(28,))


def test_columns_of_other_names_are_text_in_csv(tmp_path: Path) -> None:
    (content,) = contents(
        write_csv(tmp_path / "a.csv", [["id", "media_type", "title", "code"], ["1", "tv", "One", "007"]])
    )
    assert content.extra == {"code": "007"}


def test_parquet_with_its_own_types(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("media_type", pa.string()),
            ("title", pa.large_string()),
            ("overview", pa.string()),
            ("genre_ids", pa.list_(pa.int32())),
            ("vote_average", pa.decimal128(4, 1)),
            ("release_date", pa.timestamp("us")),
            ("poster_path", pa.string()),
            ("extra", pa.struct([("country", pa.string()), ("runtime", pa.int64()), ("seen", pa.date32())])),
        ]
    )
    row = {**FULL, "vote_average": Decimal("8.2"), "release_date": datetime(1999, 3, 30)}
    empty = dict.fromkeys(FULL, None) | SERIES
    first, second = contents(write_parquet(tmp_path / "a.parquet", [row, empty], schema))
    assert first == WANTED
    assert second == MediaContent.from_mapping(SERIES)
    assert contents(
        write_parquet(tmp_path / "b.parquet", [{**FILM, "release_date": date(1999, 3, 30), "seen": date(2020, 1, 2)}])
    ) == [MediaContent.from_mapping({**FILM, "release_date": "1999-03-30", "seen": "2020-01-02"})]


def test_parquet_extra_as_json_or_a_map(tmp_path: Path) -> None:
    text = {**FILM, "extra": '{"country": "US"}'}
    assert contents(write_parquet(tmp_path / "a.parquet", [text]))[0].extra == {"country": "US"}
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("media_type", pa.string()),
            ("title", pa.string()),
            ("extra", pa.map_(pa.string(), pa.int64())),
        ]
    )
    entries = [{**SERIES, "extra": [("runtime", 5)]}, {**SERIES, "id": 2, "extra": None}]
    extras = [content.extra for content in contents(write_parquet(tmp_path / "b.parquet", entries, schema))]
    assert extras == [{"runtime": 5}, {}]


vectors = np.arange(1, 7, dtype=np.float32).reshape(2, 3)


def _with_vectors(tmp_path: Path, form: str) -> Path:
    entries = [{**row, "vector": vector.tolist()} for row, vector in zip([FILM, SERIES], vectors, strict=True)]
    if form == "jsonl":
        return write_jsonl(tmp_path / "a.jsonl", entries)
    if form == "csv":
        header = ["id", "media_type", "title", "vector"]
        table = [[str(entry["id"]), entry["media_type"], entry["title"], str(entry["vector"])] for entry in entries]
        return write_csv(tmp_path / "a.csv", [header, *table])
    kind = {"list": pa.list_(pa.float64()), "fixed": pa.list_(pa.float32(), 3), "large": pa.large_list(pa.float32())}
    fields = [("id", pa.int64()), ("media_type", pa.string()), ("title", pa.string()), ("vector", kind[form])]
    return write_parquet(tmp_path / "a.parquet", entries, pa.schema(fields))


@pytest.mark.parametrize("form", ["jsonl", "csv", "list", "fixed", "large"])
def test_ready_vectors(tmp_path: Path, form: str) -> None:
    found = rows(_with_vectors(tmp_path, form))
    assert all(row.vector is not None and row.vector.dtype == np.float32 for row in found)
    assert np.array_equal([row.vector for row in found], vectors)
    assert all("vector" not in row.content.metadata() for row in found)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (None, "no vector"),
        ([1.0], "a vector of 1 numbers"),
        ([1.0, float("nan"), 1.0], "no JSON object|NaN"),
        ([0.0, 0.0, 0.0], "norm"),
        ("text", "a list of numbers"),
        ([], "a list of numbers"),
        ([[1.0], [2.0], [3.0]], "one row of numbers"),
    ],
)
def test_unusable_vectors_are_refused(tmp_path: Path, second: object, said: str) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [{**FILM, "vector": [1.0, 2.0, 3.0]}, {**SERIES, "vector": second}])
    with pytest.raises((InvalidVectorError, FileFormatError), match=said) as caught:
        rows(path)
    assert "line 2" in str(caught.value)


def test_a_null_inside_a_parquet_vector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidVectorError, match="row 1: vector holds NaN"):
        rows(write_parquet(tmp_path / "a.parquet", [{**FILM, "vector": [1.0, None]}]))


def _png(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


def _gzipped(path: Path) -> None:
    path.write_bytes(gzip.compress(json.dumps(FILM).encode()))


def _utf16(path: Path) -> None:
    path.write_text(json.dumps(FILM) + "\n", encoding="utf-16")


def _array(path: Path) -> None:
    path.write_text(json.dumps([FILM], indent=1))


def _binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 9)


def _latin(path: Path) -> None:
    path.write_bytes("id,media_type,title\n1,movie,Amélie\n".encode("latin-1"))


def _parquet(path: Path) -> None:
    write_parquet(path, [FILM])


def _truncated(path: Path) -> None:
    _parquet(path)
    path.write_bytes(path.read_bytes()[:-20])


def _rotten(path: Path) -> None:
    _parquet(path)
    whole = bytearray(path.read_bytes())
    whole[-60:-20] = b"\xff" * 40
    path.write_bytes(bytes(whole))


WRONG_FILES: list[tuple[str, Callable[[Path], object], str]] = [
    ("a.parquet", _png, "is a PNG image; expected Parquet, as its ending says"),
    ("a.jsonl", _gzipped, "is gzip-compressed data; expected JSONL"),
    ("a.jsonl", _utf16, "is text in UTF-16; expected JSONL in UTF-8"),
    ("a.csv", _utf16, "is text in UTF-16"),
    ("a.jsonl", _array, "is a JSON array; expected JSONL: one object a line"),
    ("a.csv", _binary, "is binary data"),
    ("a.jsonl", _parquet, "is Parquet"),
    ("a.csv", _latin, "is not UTF-8 on line 2"),
    ("a.jsonl", _latin, "no JSON object on line 1"),
    ("a.parquet", _truncated, "is cut off after"),
    ("a.parquet", _rotten, "is damaged"),
    ("a.parquet", lambda path: path.write_bytes(b"PAR1"), "is cut off"),
    ("a.parquet", lambda path: path.write_bytes(b""), "is something else"),
    ("a.jsonl", lambda path: path.write_bytes(b"\n\n"), "has no rows"),
    ("a.csv", lambda path: path.write_bytes(b""), "has no rows"),
    ("a.csv", lambda path: path.write_bytes(b"id,media_type,title\n"), "has no rows"),
    ("a.parquet", lambda path: write_parquet(path, [], pa.schema([("id", pa.int64())])), "has no column 'media_type'"),
    ("a.csv", lambda path: path.write_text("id;media_type;title\n1;tv;One\n"), "has no column 'id'"),
    ("a.csv", lambda path: path.write_text("id,media_type,title,id\n1,tv,One,2\n"), "two columns named 'id'"),
    ("a.csv", lambda path: path.write_text("id,media_type,title,\n1,tv,One,2\n"), "column without a name"),
    ("a.csv", lambda path: path.write_text("id,media_type,title\n1,tv\n"), "2 cells on line 2; expected 3"),
    ("a.csv", lambda path: path.write_text('id,media_type,title\n1,tv,"One\n'), "malformed at line 2"),
    ("a.jsonl", lambda path: path.write_text('{"id": 1}\n[1]\n'), "line 1: media_type"),
    ("a.jsonl", lambda path: write_jsonl(path, [FILM, 7]), "has 7 on line 2"),
    ("a.jsonl", lambda path: path.write_text("[" * 100_000), "is a JSON array"),
    ("a.jsonl", lambda path: path.write_text('{"a":' * 100_000), "no JSON object on line 1"),
    ("a.jsonl", lambda path: path.write_text('{"n": 12345678901234567890, "a":' * 100_000), "no JSON object on line 1"),
    ("a.txt", _array, "has the ending '.txt'; expected one of .jsonl, .ndjson, .parquet, .csv"),
    ("a.jsonl.gz", _gzipped, "has the ending '.gz'"),
    ("a", _array, "has the ending ''"),
    ("a.jsonl", Path.mkdir, "is a folder"),
    ("a.jsonl", lambda path: None, "cannot be read: No such file"),
    ("a\0.jsonl", lambda path: None, "cannot be read: embedded null"),
]


@pytest.mark.parametrize(
    ("name", "make", "said"), WRONG_FILES, ids=[f"{case[0]}-{case[2][:30]}" for case in WRONG_FILES]
)
def test_a_file_that_is_not_what_it_says(tmp_path: Path, name: str, make: Callable[[Path], object], said: str) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises((FileFormatError, InvalidContentError)) as caught:
        rows(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(FileFormatError, match="no ordinary file"):
        open_content_file(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"media_type": "person"}, "line 2: media_type is 'person'; expected 'movie' or 'tv'"),
        ({"id": 0}, "line 2: id is 0"),
        ({"id": True}, "line 2: id is True"),
        ({"title": ""}, "line 2: title is ''"),
        ({"title": "a\0b"}, "line 2: title holds"),
        ({"title": "\u200b", "overview": ""}, "a letter, a digit or a sign"),
        ({"vote_average": 11}, "line 2: vote_average is 11"),
        ({"genre_ids": "28"}, "line 2: genre_ids is '28'"),
        ({"release_date": "1999"}, "line 2: release_date is '1999'"),
        ({"extra": {"a": "\ud800"}}, "line 2"),
        ({"extra": {"a": "x" * (16 * 2**20)}}, "bytes of metadata"),
    ],
)
def test_a_row_that_is_no_content_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [SERIES, {**FILM, **change}])
    with pytest.raises((InvalidContentError, FileFormatError)) as caught:
        rows(path)
    assert said in str(caught.value)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_bad_cells_of_tables_are_named(tmp_path: Path, form: str) -> None:
    if form == "csv":
        path = write_csv(tmp_path / "a.csv", [["id", "media_type", "title"], ["1", "tv", "A"], ["x1", "tv", "B"]])
    else:
        entries = [{"id": "1", "media_type": "tv", "title": "A"}]
        path = write_parquet(tmp_path / "a.parquet", entries)
    with pytest.raises(InvalidContentError, match=r"(line 3: id is 'x1'|row 1: id is '1')"):
        rows(path)


def test_a_key_given_twice_is_refused_with_both_places(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [FILM, SERIES, FILM])
    with pytest.raises(DuplicateKeyError, match="line 3: movie-603 was given on line 1 already"):
        rows(path)


def test_a_file_that_changed_between_two_readings_is_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [FILM])
    file = open_content_file(path)
    list(file.batches(10))
    shutil.copy(write_jsonl(tmp_path / "b.jsonl", [FILM, SERIES]), path)
    with pytest.raises(FileFormatError, match="changed while it was read"):
        list(file.batches(10))


@given(data=st.binary(max_size=300), suffix=st.sampled_from([".jsonl", ".csv", ".parquet"]), frame=st.booleans())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_break_a_reader(tmp_path: Path, data: bytes, suffix: str, frame: bool) -> None:
    path = tmp_path / f"a{suffix}"
    head, tail = {".parquet": (b"PAR1", b"PAR1"), ".csv": (b"id,media_type,title\n", b""), ".jsonl": (b"{", b"}")}[
        suffix
    ]
    path.write_bytes(head + data + tail if frame else data)
    try:
        rows(path)
    except InvalidInputError as error:
        assert "\n" not in str(error)  # noqa: PT017  most bytes raise, some do not
