"""The vector layer of a film and series discovery product: one contract, in memory and on PostgreSQL."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from media_gateway.contracts import Embedder, VectorStore
    from media_gateway.embeddings.own import OwnVectors
    from media_gateway.errors import MediaGatewayError
    from media_gateway.filters import (
        And,
        Condition,
        GenresAll,
        GenresAny,
        MediaTypeIs,
        MetadataEquals,
        MetadataExists,
        MetadataIn,
        MetadataRange,
        Not,
        Or,
        RatingBetween,
        ReleasedBetween,
    )
    from media_gateway.gateway import Gateway
    from media_gateway.models import (
        Added,
        ContentVector,
        Hit,
        HybridWeights,
        MediaContent,
        SearchRequest,
        SearchResult,
        StoreStats,
        VectorSpace,
        WatchEvent,
    )
    from media_gateway.settings import Settings
    from media_gateway.sync import SyncGateway, open_sync_gateway
    from media_gateway.wiring import open_gateway, open_store

__all__ = [
    "Added",
    "And",
    "Condition",
    "ContentVector",
    "Embedder",
    "Gateway",
    "GenresAll",
    "GenresAny",
    "Hit",
    "HybridWeights",
    "MediaContent",
    "MediaGatewayError",
    "MediaTypeIs",
    "MetadataEquals",
    "MetadataExists",
    "MetadataIn",
    "MetadataRange",
    "Not",
    "Or",
    "OwnVectors",
    "RatingBetween",
    "ReleasedBetween",
    "SearchRequest",
    "SearchResult",
    "Settings",
    "StoreStats",
    "SyncGateway",
    "VectorSpace",
    "VectorStore",
    "WatchEvent",
    "open_gateway",
    "open_store",
    "open_sync_gateway",
]

# Names are looked up at their first use: importing everything takes half a second, which `--help` should not pay.
_HOMES: Final = {
    name: f"media_gateway.{module}"
    for module, names in {
        "contracts": (
            "Embedder",
            "VectorStore",
        ),
        "embeddings.own": ("OwnVectors",),
        "errors": ("MediaGatewayError",),
        "filters": (
            "And",
            "Condition",
            "GenresAll",
            "GenresAny",
            "MediaTypeIs",
            "MetadataEquals",
            "MetadataExists",
            "MetadataIn",
            "MetadataRange",
            "Not",
            "Or",
            "RatingBetween",
            "ReleasedBetween",
        ),
        "gateway": ("Gateway",),
        "models": (
            "Added",
            "ContentVector",
            "Hit",
            "HybridWeights",
            "MediaContent",
            "SearchRequest",
            "SearchResult",
            "StoreStats",
            "VectorSpace",
            "WatchEvent",
        ),
        "settings": ("Settings",),
        "sync": (
            "SyncGateway",
            "open_sync_gateway",
        ),
        "wiring": (
            "open_gateway",
            "open_store",
        ),
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
