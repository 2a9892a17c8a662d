"""Vectors given on the command line, and what `load` reads from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from media_gateway.cli.sources import opened_source
from media_gateway.cli.vectors import check_one_subject, given_vector
from media_gateway.errors import FileFormatError, InvalidInputError, InvalidVectorError


@pytest.mark.parametrize("rows", [[1.0, 2.0], [[1.0, 2.0]], [1, 2]])
def test_a_vector_from_a_file(tmp_path: Path, rows: list[object]) -> None:
    np.save(tmp_path / "query.npy", np.array(rows))
    found = given_vector(tmp_path / "query.npy", None)
    assert (found.tolist(), found.dtype) == ([1.0, 2.0], np.float32)


def test_a_vector_from_json() -> None:
    assert given_vector(None, "[1, -2.5]").tolist() == [1.0, -2.5]


@pytest.mark.parametrize("text", ["toys", "{}", "7", "[]", "[1, null]", '["a"]', "[[1, 2], [3, 4]]", "[" * 100_000, ""])
def test_json_that_is_no_vector(text: str) -> None:
    with pytest.raises(InvalidVectorError, match="--vector-json"):
        given_vector(None, text)


def _archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=[1])


def _objects(path: Path) -> None:
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)


WRONG: list[tuple[Callable[[Path], object], type[InvalidInputError], str]] = [
    (lambda path: None, FileFormatError, "No such file"),
    (lambda path: path.mkdir(), FileFormatError, "Is a directory"),
    (lambda path: path.write_bytes(b""), FileFormatError, "it is no NumPy array"),
    (lambda path: path.write_bytes(b"hello"), FileFormatError, "it is no NumPy array"),
    (_archive, FileFormatError, "is an npz archive; expected a .npy file"),
    (_objects, FileFormatError, "it is no NumPy array"),
    (lambda path: np.save(path, np.ones((2, 3))), InvalidVectorError, "shape (2, 3)"),
    (lambda path: np.save(path, np.array(["a"])), InvalidVectorError, "expected a row of numbers"),
    (lambda path: np.save(path, np.array([np.inf])), InvalidVectorError, "holds NaN or infinity"),
]


@pytest.mark.parametrize(("make", "kind", "said"), WRONG)
def test_a_file_that_is_no_vector(
    tmp_path: Path, make: Callable[[Path], object], kind: type[InvalidInputError], said: str
) -> None:
    path = tmp_path / "query.npy"
    make(path)
    with pytest.raises(kind) as caught:
        given_vector(path, None)
    assert said in str(caught.value)


def test_exactly_one_thing_is_looked_for() -> None:
    check_one_subject("text", None, None)
    check_one_subject(None, Path("query.npy"), None)
    check_one_subject(None, None, "[1]")
    for given in ((None, None, None), ("text", None, "[1]"), ("text", Path("query.npy"), "[1]")):
        with pytest.raises(InvalidInputError, match="exactly one of them"):
            check_one_subject(*given)


@pytest.mark.parametrize(("source", "folder"), [("movielens", None), ("sample", "ml-100k"), ("a.csv", "ml-100k")])
def test_movielens_and_nothing_else_has_a_folder(source: str, folder: str | None) -> None:
    with (
        pytest.raises(InvalidInputError, match="expected a file, sample, or movielens and its folder"),
        opened_source(source, folder),
    ):
        pass
