"""Many rows as one value: the server packs them, numpy reads them.

A row costs the driver some microseconds, and learning reads ten thousands of them a batch. `string_agg` of the columns'
binary forms makes one value of them (measured: a tenth of the time).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

Packed = npt.NDArray[np.void]

_INTEGERS_OID = 1007
_ELEMENT_OID = 23


@dataclass(frozen=True, kw_only=True)
class Integers:
    """Whole numbers of 32 bits, to be bound as an `integer[]`."""

    values: npt.NDArray[Any]


class _IntegersDumper(Dumper):
    format = Format.BINARY
    oid = _INTEGERS_OID

    def dump(self, obj: Any) -> Buffer:
        count = len(obj.values)
        elements = np.empty(count, dtype=[("size", ">i4"), ("value", ">i4")])
        elements["size"] = 4
        elements["value"] = obj.values
        # Dimensions, no NULLs, the type of an element; the only dimension's length and its lower bound.
        header = np.array([1, 0, _ELEMENT_OID, count, 1] if count else [0, 0, _ELEMENT_OID], dtype=">i4")
        return header.tobytes() + elements.tobytes()


# For connections that are made from here on.
psycopg.adapters.register_dumper(Integers, _IntegersDumper)


def integers(values: object) -> Integers:
    """Return *values* to be bound as an `integer[]`."""
    return Integers(values=np.asarray(values, dtype=np.int64))


def vector_bytes(dimension: int) -> int:
    """Return how many bytes a packed vector of *dimension* numbers takes."""
    return 4 + 4 * dimension


def layout(*fields: str | tuple[str, int]) -> np.dtype[np.void]:
    """Return how a packed row is laid out: a name is an `int4`, "name:f8" a `float8`, a pair a vector of that length."""
    types: list[Any] = []
    for field in fields:
        if isinstance(field, tuple):
            # An extension sends a vector as its dimension and zero, 16 bits each, and its numbers.
            types.extend([(f"{field[0]}_header", ">u4"), (field[0], ">f4", (field[1],))])
        elif field.endswith(":f8"):
            types.append((field[:-3], ">f8"))
        else:
            types.append((field, ">i4"))
    return np.dtype(types)


def unpacked(data: bytes | None, form: np.dtype[np.void]) -> Packed:
    """Return the rows packed in *data*, none for NULL."""
    return np.frombuffer(data or b"", dtype=form)
