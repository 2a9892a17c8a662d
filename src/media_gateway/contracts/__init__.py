"""What the parts of a gateway promise one another.

Features meet here and do not import one another. What only some stores can is a Protocol of its own, asked for with
`isinstance`, never a flag.
"""

from media_gateway.contracts.backups import BackedUp
from media_gateway.contracts.capabilities import (
    BulkLoads,
    Changes,
    Digests,
    Explains,
    Merges,
    OnStage,
    Prewarms,
    Samples,
    Tunes,
)
from media_gateway.contracts.companions import Companion
from media_gateway.contracts.embedders import Embedder, EmbeddingPurpose, ReportsUsage
from media_gateway.contracts.learning import EventSource, Learning
from media_gateway.contracts.search_logs import SearchLog
from media_gateway.contracts.stores import VectorStore

__all__ = [
    "BackedUp",
    "BulkLoads",
    "Changes",
    "Companion",
    "Digests",
    "Embedder",
    "EmbeddingPurpose",
    "EventSource",
    "Explains",
    "Learning",
    "Merges",
    "OnStage",
    "Prewarms",
    "ReportsUsage",
    "Samples",
    "SearchLog",
    "Tunes",
    "VectorStore",
]
