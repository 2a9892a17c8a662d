"""A dictionary that forgets: what was not used for longest, and what is older than its time to live."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class LruCache(Generic[_K, _V]):
    """At most *size* values, each for *seconds* after it was put in; 0 of either keeps nothing."""

    def __init__(self, *, size: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._seconds = seconds
        self._clock = clock
        self._entries: OrderedDict[_K, tuple[float, _V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: _K) -> _V | None:
        """Return the value of *key*, or None when there is none or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        end, value = entry
        if self._clock() >= end:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: _K, value: _V) -> None:
        """Keep *value*; when there are too many, the one that was not used for longest goes."""
        if self._size == 0 or self._seconds == 0:
            return
        self._entries[key] = (self._clock() + self._seconds, value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
