"""The arrays of the model, by name, each with the revision that wrote it last."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from psycopg import AsyncConnection

from media_gateway.learning.interests.arrays import Numbers

_LOAD: Final = "SELECT name, shape, numbers FROM interest_arrays WHERE revision > %s"
_SAVE: Final = """
INSERT INTO interest_arrays (name, revision, shape, numbers)
SELECT name, %(revision)s, string_to_array(shape, ',')::integer[], numbers
FROM unnest(%(names)s::text[], %(shapes)s::text[], %(numbers)s::bytea[]) AS given (name, shape, numbers)
ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, shape = excluded.shape, numbers = excluded.numbers
"""


async def load_arrays(connection: AsyncConnection[Any], *, since: int = -1) -> dict[str, Numbers]:
    """Return the arrays that were written after the revision *since*."""
    cursor = await connection.execute(_LOAD, [since], binary=True)
    return {
        name: np.frombuffer(numbers, dtype="<f8").reshape(shape).astype(np.float64)
        for name, shape, numbers in await cursor.fetchall()
    }


async def save_arrays(connection: AsyncConnection[Any], arrays: Mapping[str, Numbers], revision: int) -> None:
    """Write *arrays* under their names, as of *revision*."""
    values = {
        "revision": revision,
        "names": list(arrays),
        "shapes": [",".join(str(size) for size in array.shape) for array in arrays.values()],
        "numbers": [array.astype("<f8").tobytes() for array in arrays.values()],
    }
    await connection.execute(_SAVE, values)
