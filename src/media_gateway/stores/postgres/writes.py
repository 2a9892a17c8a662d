"""Which write to a key was issued last, so that a write of unknown outcome is repeated only where that is safe."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager


class IssuedWrites:
    """The writes of one process that are under way, by key."""

    def __init__(self) -> None:
        self._clock = 0
        self._latest: dict[str, int] = {}

    @contextmanager
    def issued(self, keys: Iterable[str]) -> Generator["Write"]:
        """Note a write to *keys* for as long as the block runs."""
        self._clock += 1
        write = Write(self._latest, self._clock, list(keys))
        for key in write.keys:
            self._latest[key] = write.number
        try:
            yield write
        finally:
            for key in write.keys:
                if self._latest.get(key) == write.number:
                    del self._latest[key]


class Write:
    """One write under way."""

    def __init__(self, latest: dict[str, int], number: int, keys: list[str]) -> None:
        self._latest = latest
        self.number = number
        self.keys = keys
        self.may_be_committed = False
        """Whether the server was asked to commit: a connection lost from then on leaves the outcome unknown."""

    @property
    def is_latest(self) -> bool:
        """Whether no other write to any of these keys was issued since."""
        return all(self._latest.get(key) == self.number for key in self.keys)
