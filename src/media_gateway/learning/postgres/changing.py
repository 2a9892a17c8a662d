"""One transaction that changes what is learned: the state is locked, the arrays are at hand, and all is written together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from psycopg import AsyncConnection

from media_gateway.database.faults import faults_translated
from media_gateway.learning.events.table import Lend
from media_gateway.learning.interests.arrays import Ids
from media_gateway.learning.interests.settings import InterestSettings
from media_gateway.learning.postgres.arrays import load_arrays, save_arrays
from media_gateway.learning.postgres.catalogue import Catalogue, numbers
from media_gateway.learning.postgres.parameters import Parameters
from media_gateway.learning.postgres.state import LearnedState, measure_popularity, read_state, save_state

_FEW_ITEMS: Final = 5_000
"""Items whose popularities are measured after every batch; where there are more it is done every so many batches."""
_BATCHES: Final = 50


@dataclass(kw_only=True)
class Change:
    """A transaction under way on *connection*. *state*, *parameters* and *items* may be changed; they are written at its end.

    With *is_thorough* all arrays are written, otherwise those that each batch changes; with *is_void* nothing is, since
    nothing was changed.
    """

    connection: AsyncConnection[Any]
    state: LearnedState
    parameters: Parameters
    items: Ids
    is_thorough: bool = False
    is_void: bool = False


@dataclass(kw_only=True)
class _Kept:
    """What was read or written last, at a revision."""

    revision: int
    parameters: Parameters
    items: Ids
    batches: int = field(default=0)


class Changes:
    """Makes changes on connections that *lend* gives, one at a time in all processes."""

    def __init__(
        self, lend: Lend, *, server: str, catalogue: Catalogue, settings: InterestSettings, dimension: int
    ) -> None:
        self._lend = lend
        self._server = server
        self._catalogue = catalogue
        self._settings = settings
        self._dimension = dimension
        self._kept: _Kept | None = None

    @asynccontextmanager
    async def change(self) -> AsyncGenerator[Change]:
        """Begin a change, and write it when the block ends; an error in the block undoes all of it.

        Waits while another process changes something. Raises StoreUnavailableError and what else `faults_translated`
        gives.
        """
        with faults_translated(self._server):
            async with self._lend() as connection:
                # Taken away first: what a failing block leaves in it is in no table.
                kept, self._kept = self._kept, None
                async with connection.transaction():
                    state = await read_state(connection, lock=True)
                    if kept is None or kept.revision != state.revision:
                        kept = await self._read(connection, state)
                    change = Change(connection=connection, state=state, parameters=kept.parameters, items=kept.items)
                    yield change
                    if not change.is_void:
                        await self._write(change, kept)
                self._kept = kept

    @asynccontextmanager
    async def begin_again(self) -> AsyncGenerator[AsyncConnection[Any]]:
        """Lend a transaction in which nobody else changes anything, to take away all that was learned."""
        with faults_translated(self._server):
            async with self._lend() as connection:
                self._kept = None
                async with connection.transaction():
                    await read_state(connection, lock=True)
                    yield connection

    async def _read(self, connection: AsyncConnection[Any], state: LearnedState) -> _Kept:
        arrays = await load_arrays(connection)
        if arrays and len(arrays["text.mean"]) == self._dimension:
            parameters = Parameters.of(arrays)
        else:
            parameters = Parameters.fresh(self._settings, self._dimension)
            await self._catalogue.measure_texts(connection, parameters)
            await save_arrays(connection, parameters.arrays(), state.revision + 1)
        return _Kept(revision=state.revision, parameters=parameters, items=await numbers(connection))

    async def _write(self, change: Change, kept: _Kept) -> None:
        state, parameters = change.state, change.parameters
        state.revision += 1
        kept.batches += 1
        if change.is_thorough or len(change.items) <= _FEW_ITEMS or kept.batches % _BATCHES == 1:
            measured = await measure_popularity(change.connection, state.clock, self._settings)
            parameters.popularity = np.array(measured)
        arrays = parameters.arrays() if change.is_thorough else parameters.quick()
        await save_arrays(change.connection, arrays, state.revision)
        await save_state(change.connection, state)
        kept.revision, kept.items = state.revision, change.items
