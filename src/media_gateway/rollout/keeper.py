"""The state as one process knows it: the local file and the table, brought together."""

import getpass
import os
import socket
from collections.abc import Sequence
from typing import Final

from media_gateway.errors import MediaGatewayError, StoreError
from media_gateway.rollout.state import Mode, RolloutState, new_state
from media_gateway.rollout.state_file import StateFile
from media_gateway.rollout.table import RolloutTable

_ALL: Final = 10_000


def process_name() -> str:
    """Return how this process is named to others: its host and number."""
    return f"{socket.gethostname()}:{os.getpid()}"


def operator_name() -> str:
    """Return who is at work: the login name and the host."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


class StateKeeper:
    """Sets and reads the state; the file is written first, so that it counts while PostgreSQL is away."""

    def __init__(self, file: StateFile, table: RolloutTable) -> None:
        self.file = file
        self.table = table

    def current(self) -> RolloutState | None:
        """Return the state that holds as far as this machine knows."""
        return self.file.latest()

    async def reconcile(self) -> RolloutState | None:
        """Bring file and table together and return the state that holds.

        Raises StoreUnavailableError when the table cannot be asked; the file's state holds then.
        """
        recorded = await self.table.latest()
        if recorded is not None and recorded.id not in {state.id for state in self.file.states()}:
            self.file.add(recorded, is_recorded=True)
        unrecorded = self.file.unrecorded()
        if unrecorded:
            await self.table.add(unrecorded)
            self.file.note_recorded(unrecorded)
        return self.file.latest()

    async def set(
        self, mode: Mode, percent: float, *, who: str, why: str, follows: bool = True, tripped: bool = False
    ) -> tuple[RolloutState, str | None]:
        """Set the state, and return it and why it could not be recorded in PostgreSQL, None where it was.

        Raises StoreFullError when not even the file can be written.
        """
        former = self.current()
        state = new_state(former, mode=mode, percent=percent, who=who, why=why, follows=follows, tripped=tripped)
        self.file.add(state, is_recorded=False)
        return state, await self._recorded()

    async def trip(self, reason: str) -> RolloutState | None:
        """Turn reads back to memory for *reason*, and return the new state; None when they are back already."""
        state = self.current()
        if state is None or state.tripped:
            return None
        tripped = new_state(
            state,
            mode=state.mode,
            percent=state.percent,
            who=f"guard in {process_name()}",
            why=reason,
            follows=state.follows,
            tripped=True,
        )
        self.file.add(tripped, is_recorded=False)
        return tripped

    async def history(self, limit: int) -> tuple[Sequence[RolloutState], str | None]:
        """Return the last entries, the latest first, and why PostgreSQL's are not among them."""
        try:
            await self.reconcile()
            return await self.table.history(limit), None
        except StoreError as error:
            return self.file.states()[:limit], str(error)

    async def known(self) -> list[RolloutState]:
        """Return every entry that is known, the oldest first."""
        entries, _ = await self.history(_ALL)
        known = {state.id: state for state in [*entries, *self.file.states()]}
        return sorted(known.values(), key=lambda state: state.rank)

    async def _recorded(self) -> str | None:
        try:
            await self.reconcile()
        except MediaGatewayError as error:
            return str(error)
        return None
