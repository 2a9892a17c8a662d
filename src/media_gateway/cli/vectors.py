"""Query vectors from the command line: a NumPy file, or JSON."""

from pathlib import Path
from typing import Any

import numpy as np

from media_gateway.errors import FileFormatError, InvalidInputError, InvalidVectorError, shown
from media_gateway.json_values import parse
from media_gateway.models import Vector
from media_gateway.validation import checked_vector


def given_vector(file: Path | None, text: str | None) -> Vector:
    """Return the vector in the .npy *file*, (d,) or (1, d), or else in the JSON *text*, a list of numbers.

    Raises FileFormatError for another file, and InvalidVectorError for something else than one vector.
    """
    name, given = ("--vector-json", _from_json(text or "")) if file is None else (str(file), _from_file(file))
    return checked_vector(given, np.size(given), field=name)


def check_one_subject(text: str | None, file: Path | None, vector_json: str | None) -> None:
    """Raise InvalidInputError unless exactly one of the three ways to say what is wanted was taken."""
    if [text, file, vector_json].count(None) != 2:  # noqa: PLR2004  all but one
        raise InvalidInputError(
            "give either a TEXT, or --vector, or --vector-json: exactly one of them",
            field="text",
            given=text,
            expected="one of TEXT, --vector and --vector-json",
        )


def _from_json(text: str) -> Any:
    try:
        return parse(text)
    except (ValueError, RecursionError) as error:
        raise InvalidVectorError(
            f"--vector-json is {shown(text)}; expected a JSON list of numbers",
            field="vector",
            given=text,
            expected="a list of numbers",
        ) from error


def _from_file(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            rows: Any = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is no NumPy array"
        raise FileFormatError(
            f"{shown(str(path))} cannot be read: {reason}; expected a .npy file with one vector",
            path=str(path),
            given=reason,
            expected="a .npy file",
        ) from error
    if isinstance(rows, np.lib.npyio.NpzFile):
        rows.close()
        raise FileFormatError(
            f"{path} is an npz archive; expected a .npy file with one vector",
            path=str(path),
            given="an npz archive",
            expected="a .npy file",
        )
    return rows[0] if rows.ndim == 2 and len(rows) == 1 else rows  # noqa: PLR2004  a matrix of one row
