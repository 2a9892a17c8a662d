"""The one place that names concrete classes: from settings to a store and a gateway."""

from collections.abc import Generator
from types import TracebackType
from typing import Any

import anyio.to_thread

from media_gateway.contracts import Embedder, VectorStore
from media_gateway.database.embedding_cache import EmbeddingCacheTable
from media_gateway.database.server import EmbeddedServer
from media_gateway.embeddings.choice import build_embedder, cached, chosen_provider
from media_gateway.errors import ModelMismatchError, SchemaError, SettingsError
from media_gateway.gateway import Gateway
from media_gateway.models import VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.memory import open_memory_store
from media_gateway.stores.postgres import PostgresStore, open_postgres_store


class GatewayOpening:
    """A gateway about to open: `await` it, or use it in `async with`, which also closes the gateway."""

    def __init__(self, settings: Settings, *, embedder: Embedder | None, writable: bool) -> None:
        self._settings = settings
        self._embedder = embedder
        self._writable = writable
        self._gateway: Gateway | None = None

    def __await__(self) -> Generator[Any, None, Gateway]:
        return self._open().__await__()

    async def __aenter__(self) -> Gateway:
        self._gateway = await self._open()
        return self._gateway

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._gateway is not None:
            await self._gateway.aclose()

    async def _open(self) -> Gateway:
        settings = self._settings
        embedder = self._embedder or build_embedder(settings)
        try:
            store = await open_store(settings, space=_agreed(settings, embedder.space), writable=self._writable)
        except ModelMismatchError as error:
            raise _explained(error, settings, given=self._embedder) from error
        return Gateway(store, self._embedder or cached(embedder, settings, _cache_table(store)))


def open_gateway(
    settings: Settings | None = None, *, embedder: Embedder | None = None, writable: bool = True
) -> GatewayOpening:
    """Return a gateway as *settings* (by default those of the environment and `.env`) describe it.

    `async with open_gateway() as gateway:` opens and closes it; `gateway = await open_gateway()` leaves closing to the
    caller. An *embedder* given takes the place of the one that the settings choose, and is closed with the gateway;
    `OwnVectors` is the one for vectors that come ready-made. With *writable* false a memory store's file is only read,
    beside the process that writes it.

    Raises SettingsError, StoreUnavailableError, ModelMismatchError, and what opening the chosen store raises.
    """
    return GatewayOpening(settings or Settings.read(), embedder=embedder, writable=writable)


async def open_store(settings: Settings, *, space: VectorSpace | None = None, writable: bool = True) -> VectorStore:
    """Return the store that *settings* choose, for vectors of *space*; None takes the space on record.

    Under `memory` no PostgreSQL connection is opened. The embedded server is started when it is the one meant, unless
    `media-gateway db stop` stopped it.
    """
    if settings.backend == "memory":
        return await open_memory_store(
            settings.memory_path,
            space=space,
            writable=writable,
            recall_target=settings.recall_target,
            exact=settings.exact,
        )
    return await open_postgres_store(settings, conninfo=await server_conninfo(settings), space=space)


async def open_collection(settings: Settings) -> VectorStore:
    """Return the store that *settings* choose for reading, whatever model made its vectors.

    A collection that records no model yet is opened for the one that *settings* choose. Raises what `open_store` and
    `build_embedder` raise.
    """
    try:
        return await open_store(settings, writable=False)
    except (ModelMismatchError, SchemaError, SettingsError):
        return await open_store(settings, space=_agreed(settings, build_embedder(settings).space), writable=False)


async def server_conninfo(settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters of the server that *settings* mean, the embedded one running by then."""
    if not settings.is_embedded:
        return settings.conninfo()
    server = EmbeddedServer(settings.embedded_path)
    await anyio.to_thread.run_sync(server.ensure_running)
    return server.conninfo()


def _cache_table(store: VectorStore) -> EmbeddingCacheTable | None:
    if not isinstance(store, PostgresStore):
        return None
    return EmbeddingCacheTable(store.serving_connection, server=store.endpoint.server)


def _explained(error: ModelMismatchError, settings: Settings, *, given: Embedder | None) -> ModelMismatchError:
    """Return *error* with the reason for its model where nobody asked for that one."""
    if given is not None or settings.embedding_provider != "auto":
        return error
    return ModelMismatchError(
        f"{error}. EMBEDDING_PROVIDER, which is auto, means {chosen_provider(settings)} with these settings",
        given=error.given,
        expected=error.expected,
    )


def _agreed(settings: Settings, space: VectorSpace) -> VectorSpace:
    if settings.dimension is not None and settings.dimension != space.dimension:
        raise SettingsError(
            f"RUVECTOR_DIMENSION is {settings.dimension}, but {space.model} gives {space.dimension} numbers; "
            "leave it out, or choose a model of that dimension",
            field="dimension",
            given=settings.dimension,
            expected=space.dimension,
        )
    return space
