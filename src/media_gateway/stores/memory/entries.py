"""The column of any one metadata entry: its distinct values, and which of them each slot has."""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from media_gateway.filters import MetadataRange
from media_gateway.json_values import Json, equality_text
from media_gateway.stores.memory.columns import GrowingArray
from media_gateway.stores.memory.records import Mask

_LONGEST_NAME: Final = 64
_OBJECT_BYTES: Final = 200
"""What one distinct value takes beside its text: its name, a dict entry and list entries."""
_UNSORTED: Final = 512
"""New values that a range looks at one by one, before they are sorted in."""

_Name: TypeAlias = "str | bytes"
_Bound: TypeAlias = "float | str"


def _name(value: Json) -> _Name:
    """Return what is equal for two values exactly when jsonb's `=` holds; long texts are replaced by a digest."""
    text = '"' + value if isinstance(value, str) else equality_text(value)
    if len(text) <= _LONGEST_NAME:
        return text
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


class EntryColumn:
    """The metadata entry *key* of each slot, as the number of one of its distinct values; -1 where it is missing."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._codes = GrowingArray(np.int32)
        self._code_of: dict[_Name, int] = {}
        self._numbers: _Ordered = _Ordered()
        self._texts: _Ordered = _Ordered()

    def extend(self, documents: Iterable[Mapping[str, Any]]) -> None:
        key = self._key
        self._codes.extend([self._code(document[key]) if key in document else -1 for document in documents])

    def _code(self, value: Json) -> int:
        name = _name(value)
        code = self._code_of.get(name)
        if code is None:
            code = self._code_of[name] = len(self._code_of)
            if isinstance(value, str):
                self._texts.add(value, code)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                self._numbers.add(value, code)
        return code

    @property
    def nbytes(self) -> int:
        return self._codes.nbytes + len(self._code_of) * _OBJECT_BYTES + self._texts.text_bytes

    def exists(self, count: int) -> Mask:
        """Return which of the first *count* slots have the entry."""
        return self._codes.items[:count] >= 0

    def equal(self, values: Sequence[Json], count: int) -> Mask:
        """Return which of the first *count* slots have an entry equal to one of *values*."""
        codes = [code for code in (self._code_of.get(_name(value)) for value in values) if code is not None]
        if len(codes) == 1:
            return self._codes.items[:count] == codes[0]
        return self._with_codes(codes, count)

    def between(self, condition: MetadataRange, count: int) -> Mask:
        """Return which of the first *count* slots have an entry within the bounds of *condition*."""
        values = self._texts if condition.is_text else self._numbers
        return self._with_codes(values.between(condition), count)

    def _with_codes(self, codes: "Sequence[int] | npt.NDArray[np.int64]", count: int) -> Mask:
        # One place more than there are codes: -1 looks there.
        chosen = np.zeros(len(self._code_of) + 1, dtype=np.bool_)
        chosen[codes if len(codes) else []] = True
        return chosen[self._codes.items[:count]]


class _Ordered:
    """Distinct values of one kind in order, with their codes.

    They are compared as Python compares, which is exact between whole numbers of any size and doubles, as numeric is in
    PostgreSQL, and by code point for text.
    """

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._codes: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._new: list[tuple[Any, int]] = []
        self.text_bytes = 0

    def add(self, value: _Bound, code: int) -> None:
        self._new.append((value, code))
        if isinstance(value, str):
            self.text_bytes += len(value)

    def between(self, condition: MetadataRange) -> npt.NDArray[np.int64]:
        """Return the codes of the values within the bounds."""
        if len(self._new) > _UNSORTED:
            self._sort_in()
        begin, end = 0, len(self._values)
        if condition.low is not None:
            begin = max(begin, bisect_left(self._values, condition.low))
        if condition.above is not None:
            begin = max(begin, bisect_right(self._values, condition.above))
        if condition.high is not None:
            end = min(end, bisect_right(self._values, condition.high))
        if condition.below is not None:
            end = min(end, bisect_left(self._values, condition.below))
        new = [code for value, code in self._new if _within(value, condition)]
        return np.concatenate([self._codes[begin:end], np.array(new, dtype=np.int64)])

    def _sort_in(self) -> None:
        pairs = [*zip(self._values, self._codes.tolist(), strict=True), *self._new]
        # By value only: codes are distinct, and comparing pairs costs more.
        pairs.sort(key=lambda pair: pair[0])
        self._values = [value for value, _ in pairs]
        self._codes = np.array([code for _, code in pairs], dtype=np.int64)
        self._new = []


def _within(value: Any, condition: MetadataRange) -> bool:
    return (
        (condition.low is None or value >= condition.low)
        and (condition.above is None or value > condition.above)
        and (condition.high is None or value <= condition.high)
        and (condition.below is None or value < condition.below)
    )
