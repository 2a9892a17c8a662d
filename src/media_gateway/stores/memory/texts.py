"""Lists of byte strings as two buffers, as files hold them: lengths, then the bytes one after the other."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt


def lengths_of(texts: Sequence[bytes]) -> bytes:
    """Return the length of each of *texts*, as u32."""
    return np.fromiter(map(len, texts), dtype="<u4", count=len(texts)).tobytes()


def split(lengths: npt.NDArray[np.uint32], joined: memoryview) -> Iterator[bytes]:
    """Yield the texts that `lengths_of` and joining made two buffers of."""
    end = 0
    for length in lengths.tolist():
        begin, end = end, end + length
        yield bytes(joined[begin:end])
