"""The vector layer of a film and series discovery product: one contract, in memory and on PostgreSQL."""

from media_gateway.contracts import Embedder, VectorStore
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
from media_gateway.gateway import Added, Gateway
from media_gateway.models import (
    ContentVector,
    Hit,
    MediaContent,
    SearchRequest,
    SearchResult,
    StoreStats,
    VectorSpace,
)
from media_gateway.settings import Settings
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
    "MediaContent",
    "MediaGatewayError",
    "MediaTypeIs",
    "MetadataEquals",
    "MetadataExists",
    "MetadataIn",
    "MetadataRange",
    "Not",
    "Or",
    "RatingBetween",
    "ReleasedBetween",
    "SearchRequest",
    "SearchResult",
    "Settings",
    "StoreStats",
    "VectorSpace",
    "VectorStore",
    "open_gateway",
    "open_store",
]
