"""How vectors and JSON stand in an AgentDB file, and what is checked before they are written."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from media_gateway.errors import InvalidInputError, shown
from media_gateway.json_values import canonical, dump, unusable_text
from media_gateway.models import Matrix, Vector
from media_gateway.validation import NORM_RANGE, checked_vector
from media_gateway.vector_math import unit, units

DIMENSION: Final = 384
"""Numbers of every vector in the tables that npm reads: one row of another size makes its search throw."""
BLOB_BYTES: Final = 4 * DIMENSION
_FLOATS: Final = np.dtype("<f4")


def blob(vector: Vector) -> bytes:
    """Return *vector* as the file holds it: little-endian float32, no header."""
    return np.ascontiguousarray(vector, dtype=_FLOATS).tobytes()


def blobs(rows: Matrix) -> list[bytes]:
    """Return each of *rows* as the file holds it."""
    flat = np.ascontiguousarray(rows, dtype=_FLOATS).tobytes()
    step = _FLOATS.itemsize * rows.shape[1]
    return [flat[start : start + step] for start in range(0, len(flat), step)]


def vector_of(stored: object) -> Vector | None:
    """Return the vector of a blob; None where there is none, or where it is no row of float32."""
    if not isinstance(stored, bytes) or not stored or len(stored) % _FLOATS.itemsize:
        return None
    return np.frombuffer(stored, dtype=_FLOATS).astype(np.float32)


def usable(rows: Matrix) -> npt.NDArray[np.bool_]:
    """Tell for each of *rows* whether it can be compared: finite, and not zero."""
    return np.logical_and(np.isfinite(rows).all(axis=1), rows.any(axis=1))


def checked_given(vector: object, *, field: str) -> Vector:
    """Return a caller's *vector* of any length from 1, brought to length 1; raises as `validation.checked_vector`."""
    try:
        length = int(np.size(cast("Any", vector)))
    except ValueError:  # rows of several lengths, which are refused below
        length = 0
    return unit(checked_vector(vector, length, field=field))


def checked_all(vectors: Sequence[Vector | None], kind: str) -> list[Vector | None]:
    """Return callers' *vectors* brought to length 1, None where none was given; raises as `checked_given`."""
    given = [vector for vector in vectors if vector is not None]
    # Callers may give lists and other types too.
    rows: list[Any] = list(given)
    if rows and all(_is_standard(row) for row in rows):
        # Checking each one by itself takes four times as long as writing it.
        table = np.stack(given)
        squares = np.einsum("ij,ij->i", table, table, dtype=np.float64)
        if ((squares > NORM_RANGE[0] ** 2) & (squares < NORM_RANGE[1] ** 2)).all():
            checked = iter(units(table))
            return [None if vector is None else next(checked) for vector in vectors]
    return [
        None if vector is None else checked_given(vector, field=f"the vector of {kind} {place}")
        for place, vector in enumerate(vectors)
    ]


def _is_standard(row: Any) -> bool:
    is_array = isinstance(row, np.ndarray)
    array: Any = row
    return is_array and bool(array.shape == (DIMENSION,) and array.dtype == np.float32)


def json_text(value: object, *, field: str) -> str | None:
    """Return *value* as compact JSON; None for None. Raises InvalidMetadataError for NaN and what else is not JSON."""
    if value is None:
        return None
    canonical(value, field=field)
    # Not the canonical form itself, which orders keys: what is embedded of a skill is its text as it was written.
    return dump(_plain(value)).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value  # pyright: ignore[reportUnknownVariableType]


def json_value(text: object) -> Any:
    """Return the value of a JSON column; text that is no JSON comes as it stands, None as None."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def tags_of(text: object) -> tuple[str, ...]:
    """Return the tags of a column that holds a JSON list; none where it holds something else."""
    value = json_value(text)
    return tuple(str(tag) for tag in value) if isinstance(value, list) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def object_of(text: object) -> dict[str, Any]:
    """Return the object of a JSON column; an empty one where it holds something else."""
    value = json_value(text)
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def checked_text(value: object, field: str, *, may_be_empty: bool = False) -> str:
    """Return *value*, or raise InvalidInputError when it is not text that the file and its readers can hold."""
    if not isinstance(value, str) or (not may_be_empty and not value.strip()):
        raise _invalid(field, value, "text that is not empty")
    reason = unusable_text(value)
    if reason is not None:
        raise _invalid(field, value, f"text without {reason}")
    return value


def checked_texts(values: Iterable[tuple[str, object]]) -> None:
    """Check optional texts, given with their fields' names."""
    for field, value in values:
        if value is not None:
            checked_text(value, field, may_be_empty=True)


def checked_number(value: object, field: str, *, least: float = -1e9, most: float = 1e9) -> float:
    """Return *value*, or raise InvalidInputError when it is not a number from *least* to *most*; NaN is none."""
    number = _plain_number(value)
    if number is None or not least <= number <= most:
        raise _invalid(field, value, f"a number from {least:g} to {most:g}")
    return float(number)


def checked_whole(value: object, field: str, *, least: int = 0, most: int = 2**53) -> int:
    """Return *value*, or raise InvalidInputError when it is not a whole number from *least* to *most*."""
    number = _plain_number(value)
    if not isinstance(number, int) or not least <= number <= most:
        raise _invalid(field, value, f"a whole number from {least} to {most:,}")
    return number


def _plain_number(value: object) -> int | float | None:
    """Return *value*, of Python or of numpy, as Python's number; None when it is none."""
    plain: object = cast("Any", value).item() if isinstance(value, np.number) else value
    return plain if isinstance(plain, int | float) and not isinstance(plain, bool) else None


def _invalid(field: str, given: object, expected: str) -> InvalidInputError:
    return InvalidInputError(
        f"{field} is {shown(given)}; expected {expected}", field=field, given=given, expected=expected
    )
