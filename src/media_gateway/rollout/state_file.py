"""The local file of the rollout's state: what holds when PostgreSQL cannot be asked."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from media_gateway.errors import SnapshotDamagedError
from media_gateway.rollout.files import disk_faults, locked, replace_file
from media_gateway.rollout.state import RolloutState, latest

_VERSION: Final = 1
_KEPT: Final = 200
"""Entries kept once they stand in the table."""


@dataclass(frozen=True, kw_only=True)
class _Content:
    states: list[RolloutState]
    unrecorded: frozenset[str]
    heard: frozenset[str] = frozenset()
    """Entries that came from the table: they were set beside another file, or before this one was there."""


class StateFile:
    """The entries known on this machine; those that the table lacks are kept until it has them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._content = _Content(states=[], unrecorded=frozenset())

    def latest(self) -> RolloutState | None:
        """Return the entry that holds; a look at the file's inode when nothing changed."""
        return latest(self._read().states)

    def states(self) -> list[RolloutState]:
        """Return the entries, the latest first."""
        return sorted(self._read().states, key=lambda state: state.rank, reverse=True)

    def unrecorded(self) -> list[RolloutState]:
        """Return the entries that are not known to stand in the table."""
        content = self._read()
        return [state for state in content.states if state.id in content.unrecorded]

    def was_begun_here(self) -> bool:
        """Return whether the rollout that holds was begun beside this file, rather than heard of."""
        content = self._read()
        begun: RolloutState | None = None
        for state in sorted(content.states, key=lambda state: state.rank):
            begun = None if state.is_over else begun or state
        return begun is not None and begun.id not in content.heard

    def claim(self) -> None:
        """Take every entry for one that was set here, so that the memory file beside this one is the one that moves."""
        with disk_faults(self.path), locked(self.path):
            content = self._read()
            self._write(content.states, content.unrecorded, frozenset())

    def add(self, state: RolloutState, *, is_recorded: bool) -> None:
        """Keep *state*, durably; one that is recorded already was heard of. Raises StoreFullError."""
        with disk_faults(self.path), locked(self.path):
            content = self._read()
            states = {one.id: one for one in content.states}
            heard = content.heard | {state.id} if is_recorded and state.id not in states else content.heard
            unrecorded = content.unrecorded - {state.id} if is_recorded else content.unrecorded | {state.id}
            self._write(list({**states, state.id: state}.values()), unrecorded, heard)

    def note_recorded(self, states: list[RolloutState]) -> None:
        """Remember that *states* stand in the table."""
        with disk_faults(self.path), locked(self.path):
            content = self._read()
            self._write(content.states, content.unrecorded - {state.id for state in states}, content.heard)

    def _read(self) -> _Content:
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return _Content(states=[], unrecorded=frozenset())
        identity = (found.st_ino, found.st_mtime_ns, found.st_size)
        if identity != self._seen:
            self._content = self._parsed(self.path.read_bytes())
            self._seen = identity
        return self._content

    def _parsed(self, data: bytes) -> _Content:
        try:
            return _content(json.loads(data))
        except (ValueError, KeyError, TypeError) as error:
            raise SnapshotDamagedError(
                f"{self.path} is not the state of a rollout as this program writes it; move it away, and set the state "
                "anew with media-gateway rollout set",
                path=str(self.path),
            ) from error

    def _write(self, states: list[RolloutState], unrecorded: frozenset[str], heard: frozenset[str]) -> None:
        ordered = sorted(states, key=lambda state: state.rank)
        kept = [state for state in ordered[:-_KEPT] if state.id in unrecorded] + ordered[-_KEPT:]
        value = {
            "version": _VERSION,
            "entries": [state.as_json() for state in kept],
            "unrecorded": sorted(unrecorded),
            "heard": sorted(heard & {state.id for state in kept}),
        }
        replace_file(self.path, json.dumps(value, indent=1, ensure_ascii=False).encode())


def _content(value: dict[str, Any]) -> _Content:
    if value["version"] != _VERSION:
        raise ValueError(value["version"])
    return _Content(
        states=[RolloutState.parsed(entry) for entry in value["entries"]],
        unrecorded=frozenset(value["unrecorded"]),
        heard=frozenset(value.get("heard", ())),
    )
