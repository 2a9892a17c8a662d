"""A steady look at an open store: whether it answers, and whether schema, index and pool are as serving needs them."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from media_gateway.contracts import VectorStore
from media_gateway.errors import SchemaError, StoreUnavailableError
from media_gateway.rollout import NotedStore
from media_gateway.server.readiness import Check
from media_gateway.stores.postgres.fitness import Fitness
from media_gateway.wiring import postgres_of

_log = logging.getLogger(__name__)

PROBE_KEY: Final = "media-gateway-readiness"
"""A key that nobody uses: looking for it goes the whole way to the server and brings nothing back."""
_ANSWER_SECONDS: Final = 1.0
_STALE_SECONDS: Final = 1.6
"""How old the last answer may be: an answer of half a second ago, and a second that the next one may take."""
_FITNESS_SECONDS: Final = 5.0


class StoreWatch:
    """Looks whenever `look` is called at what *store* returns, the store in use, and remembers what it saw."""

    def __init__(self, store: Callable[[], VectorStore]) -> None:
        self._store = store
        # A rollout that begins later has this very one beside memory.
        self._postgres = postgres_of(store())
        self._failure: Exception | None = None
        self._answered_at = 0.0
        self._seconds = 0.0
        self._fitness: Fitness | None = None
        self._fitness_at = 0.0
        self._unfit: Exception | None = None
        self._probing: asyncio.Task[None] | None = None

    async def look(self) -> bool:
        """Ask the store for a record, for a second at most; return whether its server was started anew meanwhile."""
        before = self._fitness
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe())
        # Not cancelled: to cancel a statement on a server that hangs takes longer than to wait for it.
        await asyncio.wait({self._probing}, timeout=_ANSWER_SECONDS)
        if self._probing.done():
            self._probing = None
        after = self._fitness
        return before is not None and after is not None and before.started != after.started

    def checks(self) -> list[Check]:
        """Return what was seen last."""
        checks = [self._store_check()]
        if self._postgres is not None:
            checks += [self._pool_check(), self._schema_check(), self._index_check()]
        return checks

    async def aclose(self) -> None:
        """Stop looking."""
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing

    async def _probe(self) -> None:
        began = time.monotonic()
        try:
            await self._store().get([PROBE_KEY])
        except Exception as error:  # noqa: BLE001  whatever it is, the store did not answer
            if type(error) is not type(self._failure):
                _log.warning("the store does not answer: %s", error)
            self._failure = error
            return
        self._answered_at = time.monotonic()
        self._seconds = self._answered_at - began
        is_back = self._failure is not None
        if is_back:
            _log.warning("the store answers again")
        self._failure = None
        if self._postgres is not None and (is_back or began - self._fitness_at > _FITNESS_SECONDS):
            await self._read_fitness()

    async def _read_fitness(self) -> None:
        if self._postgres is None:
            return
        try:
            self._fitness = await self._postgres.fitness()
            self._unfit = None
        except Exception as error:  # noqa: BLE001  told by the checks
            if type(error) is not type(self._unfit):
                _log.warning("PostgreSQL is not fit to serve: %s", error)
            self._unfit = error
        self._fitness_at = time.monotonic()

    def _store_check(self) -> Check:
        age = time.monotonic() - self._answered_at
        if self._failure is not None:
            return Check(name="store", passes=False, detail=f"it does not answer: {type(self._failure).__name__}")
        if age > _STALE_SECONDS:
            return Check(name="store", passes=False, detail=f"its last answer came {age:.1f} s ago")
        milliseconds = round(self._seconds * 1000, 2)
        store = self._store()
        detail = f"it answers; {store.remark}" if isinstance(store, NotedStore) else "it answers"
        return Check(name="store", passes=True, detail=detail, figures={"milliseconds": milliseconds})

    def _pool_check(self) -> Check:
        if isinstance(self._unfit, StoreUnavailableError):
            # The store answered before: memory does, during a rollout.
            return Check(name="pool", passes=True, detail="PostgreSQL is away, and memory answers")
        measures: Mapping[str, int] = {} if self._fitness is None else self._fitness.pool
        waiting = measures.get("requests_waiting", 0)
        figures = {
            "connections": measures.get("pool_size", 0),
            "idle": measures.get("pool_available", 0),
            "most": measures.get("pool_max", 0),
            "waiting": waiting,
        }
        if self._fitness is None:
            return Check(name="pool", passes=False, detail="nothing is known of it yet")
        is_stuck = waiting > 0 and not self._store_check().passes
        detail = "callers wait for connections, and none becomes free" if is_stuck else "it lends connections"
        return Check(name="pool", passes=not is_stuck, detail=detail, figures=figures)

    def _schema_check(self) -> Check:
        if isinstance(self._unfit, SchemaError):
            detail = "it is newer than this program, or a migration was edited; media-gateway doctor says which"
            return Check(name="schema", passes=False, detail=detail)
        pending = [] if self._fitness is None else self._fitness.pending
        if pending:
            detail = f"it lacks the migrations {', '.join(pending)}; run media-gateway db migrate"
            return Check(name="schema", passes=False, detail=detail)
        return Check(name="schema", passes=True, detail="it is current")

    def _index_check(self) -> Check:
        fitness = self._fitness
        if fitness is None or fitness.index is not None:
            detail = "it is there" if fitness is not None else "nothing is known of it yet"
            figures = {} if fitness is None else {"index": fitness.index}
            return Check(name="index", passes=fitness is not None, detail=detail, figures=figures)
        if fitness.needs_index:
            detail = "there is no valid vector index, so every search reads the table; run media-gateway index build"
            return Check(name="index", passes=False, detail=detail)
        return Check(
            name="index", passes=True, detail="there is none, and the collection is small enough to be scanned"
        )
