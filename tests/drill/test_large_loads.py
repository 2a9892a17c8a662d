"""Loading a file far larger than what the client may hold: its memory stays small, whatever the form of the file."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.acceptance.command import PROGRAM, Command

pytestmark = [pytest.mark.drill, pytest.mark.timeout(600)]

ROWS = 200_000
DIMENSION = 256
MIB = 2**20
_CHUNK = 10_000


def _numbers(start: int) -> np.ndarray:
    generator = np.random.default_rng(start)
    return generator.standard_normal((_CHUNK, DIMENSION), dtype=np.float32)


def _parquet(path: Path) -> Path:
    kind = pa.list_(pa.float32(), DIMENSION)
    schema = pa.schema([("key", pa.string()), ("vector", kind), ("metadata", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, ROWS, _CHUNK):
            keys = [f"movie-{number}" for number in range(start, start + _CHUNK)]
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(_numbers(start).reshape(-1)), DIMENSION)
            texts = [f'{{"title": "Title {key}", "vote_average": 7.5}}' for key in keys]
            writer.write_table(pa.table([pa.array(keys), vectors, pa.array(texts)], schema=schema))
    return path


def _npz(path: Path) -> Path:
    keys = np.array([f"movie-{number}" for number in range(ROWS)])
    np.savez(path, keys=keys, vectors=np.concatenate([_numbers(start) for start in range(0, ROWS, _CHUNK)]))
    return path


@pytest.mark.parametrize("make", [_parquet, _npz])
def test_a_load_holds_little_of_its_file(tmp_path: Path, make: object) -> None:
    path = make(tmp_path / f"vectors.{make.__name__[1:]}")  # type: ignore[operator]
    assert path.stat().st_size > 190 * MIB
    command = Command(folder=tmp_path, variables={"RUVECTOR_BACKEND": "postgres"})
    try:
        assert command("db", "start").code == 0
        process = subprocess.Popen(
            [PROGRAM, "load", path.name, "--model", "made-up"], cwd=tmp_path, env={**os.environ, **command.variables}
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        # Of what is held, only eight bytes a key grow with the file: a million keep far below 1 GiB.
        assert usage.ru_maxrss * 1024 < 300 * MIB
        assert command("stats", "--json").json()["count"] == ROWS
    finally:
        command("db", "stop")
