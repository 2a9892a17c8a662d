"""The gate that writers pass: closed for the moment in which the truth changes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Gate:
    """Lets any number of writers pass, or one that closes it; writers that come meanwhile wait."""

    def __init__(self) -> None:
        self._inside = 0
        self._closers = 0
        self._changed = asyncio.Condition()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def passing(self) -> AsyncGenerator[None]:
        """Hold the gate open for the block."""
        while self._closers:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._closers)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if self._closers:
                await asyncio.shield(self._tell())

    @asynccontextmanager
    async def closed(self, patience: float | None = None) -> AsyncGenerator[bool]:
        """Keep new writers out for the block, which gets whether all that were inside had left within *patience* s."""
        async with self._turn:
            self._closers += 1
            try:
                yield await self._emptied(patience)
            finally:
                self._closers -= 1
                await asyncio.shield(self._tell())

    async def _emptied(self, patience: float | None) -> bool:
        try:
            async with asyncio.timeout(patience), self._changed:
                await self._changed.wait_for(lambda: not self._inside)
        except TimeoutError:
            return False
        return True

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
