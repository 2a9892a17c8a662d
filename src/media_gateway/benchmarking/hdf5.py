"""Data of somebody's own: the HDF5 files of ANN-Benchmarks (github.com/erikbern/ann-benchmarks, "Data sets")."""

from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from media_gateway.benchmarking.datasets import Dataset, blocks_of, made_up_metadata
from media_gateway.benchmarking.truth import Truth
from media_gateway.errors import FileFormatError, UnsupportedError, shown
from media_gateway.models import Matrix

_PARTS: Final = ("train", "test")


def read_hdf5(path: Path, *, queries: int, size: int | None = None) -> Dataset:
    """Return the data of an ANN-Benchmarks file: `train` is searched for `test`, of which at most *queries* are asked.

    With *size* only so many rows are searched. The exact answers are those of `neighbors` and `distances` where all
    rows are searched and both are there, else they are computed. Raises FileFormatError for a file that lacks a part
    or measures another distance than the angular one, UnsupportedError without the package h5py.
    """
    try:
        h5py: Any = import_module("h5py")
    except ImportError as error:
        raise UnsupportedError(
            "reading an HDF5 file needs the package h5py; install media-gateway[bench]", feature="HDF5", store="bench"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            return _from_hdf5(path, file, queries=queries, size=size)
    except OSError as error:
        raise _refused(path, f"it cannot be read as HDF5 ({error})") from error


def _from_hdf5(path: Path, file: Any, *, queries: int, size: int | None) -> Dataset:
    missing = [name for name in _PARTS if name not in file]
    if missing:
        raise _refused(
            path, f"it has no data set {missing[0]!r}; expected train and test, as ANN-Benchmarks writes them"
        )
    distance = file.attrs.get("distance", "angular")
    distance = distance.decode() if isinstance(distance, bytes) else str(distance)
    if distance != "angular":
        raise _refused(
            path, f"it measures {distance} distance; expected an angular one, which is what is searched here by"
        )
    rows = _unit_rows(path, "train", file["train"][:size])
    asked = _unit_rows(path, "test", file["test"][:queries])
    if rows.shape[1] != asked.shape[1]:
        raise _refused(path, f"train has {rows.shape[1]} numbers a row and test {asked.shape[1]}; expected the same")
    known = None
    if len(rows) == file["train"].shape[0] and "neighbors" in file and "distances" in file:
        known = Truth(
            rows=np.asarray(file["neighbors"][: len(asked)], dtype=np.int64),
            # What ANN-Benchmarks calls angular distance is 1 - cosine similarity.
            scores=1 - np.asarray(file["distances"][: len(asked)], dtype=np.float32),
        )
    return Dataset(
        name=path.stem, n=len(rows), queries=asked, blocks=blocks_of(rows), metadata=made_up_metadata, known=known
    )


def _unit_rows(path: Path, name: str, given: Any) -> Matrix:
    rows = np.array(given, dtype=np.float32)
    if rows.ndim != 2 or not len(rows):  # noqa: PLR2004  a matrix
        raise _refused(path, f"{name} has the shape {shown(rows.shape)}; expected rows of numbers")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise _refused(path, f"{name} has a row without a direction (zeros, infinity or NaN); expected none")
    return rows / lengths


def _refused(path: Path, why: str) -> FileFormatError:
    return FileFormatError(f"{path} cannot be used: {why}", path=str(path))
