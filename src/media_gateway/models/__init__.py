"""The values that pass between callers, stores and the gateway.

All are frozen and keyword-only. Vectors are one-dimensional numpy arrays of float32; whoever hands one over must not
change it afterwards.
"""

from media_gateway.models.content import MediaContent, usable_date
from media_gateway.models.events import WatchAction, WatchEvent
from media_gateway.models.records import (
    MAX_INDEXED_DIMENSION,
    MAX_K,
    MAX_KEY_BYTES,
    ContentVector,
    Matrix,
    Metadata,
    Vector,
    VectorSpace,
)
from media_gateway.models.search import Hit, SearchRequest, SearchResult, StoreStats

__all__ = [
    "MAX_INDEXED_DIMENSION",
    "MAX_K",
    "MAX_KEY_BYTES",
    "ContentVector",
    "Hit",
    "Matrix",
    "MediaContent",
    "Metadata",
    "SearchRequest",
    "SearchResult",
    "StoreStats",
    "Vector",
    "VectorSpace",
    "WatchAction",
    "WatchEvent",
    "usable_date",
]
