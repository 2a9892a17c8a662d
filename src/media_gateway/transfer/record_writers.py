"""Writing records into files, batch after batch, in the forms that `open_record_file` reads."""

import json
import zipfile
from collections.abc import Sequence
from importlib import import_module
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final, Protocol, cast

import numpy as np
import numpy.typing as npt
import orjson

from media_gateway.errors import UnsupportedError
from media_gateway.json_values import dump
from media_gateway.models import ContentVector, Matrix, VectorSpace

MODEL_FIELD: Final = b"media_gateway.model"
DIMENSION_FIELD: Final = b"media_gateway.dimension"
HEADER_NAME: Final = "media_gateway"
"""What the first line of a JSONL file is known by: `{"media_gateway": {"model": ..., "dimension": ...}}`."""
_MOST_TEXT: Final = 4 * 2**30
"""Bytes that the keys or the metadata of an npz file may take, where each text takes as much as the longest."""
_CHUNK: Final = 1 << 20
_UNICODE_BYTES: Final = 4


class RecordWriter(Protocol):
    """Writes records into a file that is open; `finish` is called once, after the last batch."""

    def write(self, batch: Sequence[ContentVector]) -> None:
        """Write *batch* behind what was written."""
        ...

    def finish(self) -> None:
        """Write what stands at the end."""
        ...


class ParquetWriter:
    """The standard form: `id`, `vector` as a fixed-size list of float32, `metadata` as JSON; a row group a batch.

    Model and dimension stand in the schema's metadata. Each page has a checksum, so that damage is noticed.
    """

    def __init__(self, file: BinaryIO, space: VectorSpace) -> None:
        # Imported here, since it takes a third of a second that no other command should pay.
        self._pa: Any = import_module("pyarrow")
        pq: Any = import_module("pyarrow.parquet")
        pa = self._pa
        self._dimension = space.dimension
        facts = {MODEL_FIELD: space.model.encode(), DIMENSION_FIELD: str(space.dimension).encode()}
        numbers = pa.field("element", pa.float32(), nullable=False)
        self._schema: Any = pa.schema(
            [
                pa.field("id", pa.string(), nullable=False),
                pa.field("vector", pa.list_(numbers, space.dimension), nullable=False),
                pa.field("metadata", pa.string(), nullable=False),
            ],
            metadata=facts,
        )
        self._writer: Any = pq.ParquetWriter(
            file,
            self._schema,
            compression="zstd",
            use_dictionary=False,
            write_statistics=["id"],
            write_page_checksum=True,
        )

    def write(self, batch: Sequence[ContentVector]) -> None:
        """Write *batch* as a row group."""
        pa = self._pa
        numbers = np.stack([record.vector for record in batch]).astype("<f4", copy=False).reshape(-1)
        vector_type: Any = self._schema.field("vector").type
        columns = [
            pa.array([record.key for record in batch], pa.string()),
            pa.FixedSizeListArray.from_arrays(pa.array(numbers), type=vector_type),
            pa.array([_json(record) for record in batch], pa.string()),
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def finish(self) -> None:
        """Write the footer."""
        self._writer.close()


class JsonlWriter:
    """A header that names model and dimension, then `{"id": ..., "vector": [...], "metadata": {...}}` a line."""

    def __init__(self, file: BinaryIO, space: VectorSpace) -> None:
        self._file = file
        facts = {HEADER_NAME: {"model": space.model, "dimension": space.dimension}}
        file.write(json.dumps(facts, ensure_ascii=False).encode() + b"\n")

    def write(self, batch: Sequence[ContentVector]) -> None:
        """Write a line a record."""
        rows = _nine_digits(np.stack([record.vector for record in batch]))
        self._file.write(b"".join(_line(record, row) for record, row in zip(batch, rows, strict=True)))

    def finish(self) -> None:
        """Write nothing: lines need no end."""


def _line(record: ContentVector, row: npt.NDArray[np.float64]) -> bytes:
    numbers = orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)
    metadata = _json(record).encode()
    return b'{"id":' + orjson.dumps(record.key) + b',"vector":' + numbers + b',"metadata":' + metadata + b"}\n"


def _nine_digits(vectors: Matrix) -> npt.NDArray[np.float64]:
    """Return doubles that are written with nine digits, or a few more for the tiniest, and read as the same float32.

    Nine digits lie so near to their float32 that reading them as a double first does not round them elsewhere. The
    shortest digits that tell a float32 apart do not, and those of the double itself take twice the room.
    """
    exact = vectors.astype(np.float64)
    with np.errstate(divide="ignore"):
        places = 8 - np.floor(np.log10(np.abs(exact)))
    scale = np.power(10.0, np.where(np.isfinite(places), places, 0))
    return np.where(exact == 0, exact, np.round(exact * scale) / scale)


class NpzWriter:
    """The arrays `keys`, `vectors`, `metadata` (JSON texts) and `model`; gathered in temporary files until the end."""

    def __init__(self, file: BinaryIO, space: VectorSpace) -> None:
        self._file = file
        self._space = space
        # On the disk that the file itself will need: the usual temporary folder may be memory.
        self._rows: BinaryIO = cast("BinaryIO", TemporaryFile(dir=Path(file.name).parent))  # noqa: SIM115
        self._keys: list[str] = []
        self._metadata: list[str] = []
        self._longest = 0

    def write(self, batch: Sequence[ContentVector]) -> None:
        """Keep *batch* for the end; raises UnsupportedError when its texts are too unequal for an array of texts."""
        self._rows.write(np.stack([record.vector for record in batch]).astype("<f4", copy=False).tobytes())
        self._keys += [record.key for record in batch]
        texts = [_json(record) for record in batch]
        self._metadata += texts
        self._longest = max(self._longest, *map(len, texts))
        if self._longest * len(self._metadata) * _UNICODE_BYTES > _MOST_TEXT:
            raise UnsupportedError(
                f"the longest metadata has {self._longest:,} characters, and an npz file gives every record as much "
                "room: that is over 4 GiB; write a .parquet file instead",
                feature="npz",
                store="npz",
            )

    def finish(self) -> None:
        """Write the archive."""
        try:
            with zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                self._add_rows(archive)
                for name, values in (("keys", self._keys), ("metadata", self._metadata)):
                    _add(archive, name, np.array(values, dtype=np.str_))
                _add(archive, "model", np.array(self._space.model))
        finally:
            self._rows.close()

    def _add_rows(self, archive: zipfile.ZipFile) -> None:
        head = BytesIO()
        shape = (len(self._keys), self._space.dimension)
        np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": shape})
        self._rows.seek(0)
        with archive.open("vectors.npy", "w", force_zip64=True) as entry:
            entry.write(head.getvalue())
            while chunk := self._rows.read(_CHUNK):
                entry.write(chunk)


def _add(archive: zipfile.ZipFile, name: str, values: npt.NDArray[np.str_]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        np.lib.format.write_array(entry, values, allow_pickle=False)


def _json(record: ContentVector) -> str:
    return dump(dict(record.metadata)).decode()


WRITERS: Final[dict[str, type[ParquetWriter] | type[JsonlWriter] | type[NpzWriter]]] = {
    ".parquet": ParquetWriter,
    ".jsonl": JsonlWriter,
    ".npz": NpzWriter,
}
