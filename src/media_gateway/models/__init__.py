"""The values that pass between callers, stores and the gateway.

All are frozen and keyword-only. Vectors are one-dimensional numpy arrays of float32; whoever hands one over must not
change it afterwards.
"""

from media_gateway.models.added import Added
from media_gateway.models.audits import TuningAction, TuningEntry, TuningTrigger
from media_gateway.models.backups import BackupFacts, BackupKind, Restored
from media_gateway.models.changes import ChangedKeys, ChangePosition
from media_gateway.models.content import MediaContent, usable_date
from media_gateway.models.digests import CollectionDigest, Merged, RowHash
from media_gateway.models.events import WatchAction, WatchEvent
from media_gateway.models.explanation import Explanation, SearchWay
from media_gateway.models.recommendations import Recommendations, Recommended, UserPreferences
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
from media_gateway.models.search import (
    MAX_WEIGHT,
    Hit,
    HybridWeights,
    Matched,
    SearchMode,
    SearchRequest,
    SearchResult,
    StoreStats,
)
from media_gateway.models.searches import LoggedSearch, SearchKind
from media_gateway.models.tuning import IndexTrial, QuerySource, TunedClass, TuningReport
from media_gateway.models.warmth import Prewarmed, WarmingWay
from media_gateway.models.words import MAX_TEXT_CHARACTERS, Words

__all__ = [
    "MAX_INDEXED_DIMENSION",
    "MAX_K",
    "MAX_KEY_BYTES",
    "MAX_TEXT_CHARACTERS",
    "MAX_WEIGHT",
    "Added",
    "BackupFacts",
    "BackupKind",
    "ChangePosition",
    "ChangedKeys",
    "CollectionDigest",
    "ContentVector",
    "Explanation",
    "Hit",
    "HybridWeights",
    "IndexTrial",
    "LoggedSearch",
    "Matched",
    "Matrix",
    "MediaContent",
    "Merged",
    "Metadata",
    "Prewarmed",
    "QuerySource",
    "Recommendations",
    "Recommended",
    "Restored",
    "RowHash",
    "SearchKind",
    "SearchMode",
    "SearchRequest",
    "SearchResult",
    "SearchWay",
    "StoreStats",
    "TunedClass",
    "TuningAction",
    "TuningEntry",
    "TuningReport",
    "TuningTrigger",
    "UserPreferences",
    "Vector",
    "VectorSpace",
    "WarmingWay",
    "WatchAction",
    "WatchEvent",
    "Words",
    "usable_date",
]
