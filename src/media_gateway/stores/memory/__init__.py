"""The memory backend: a store in this process, kept in a snapshot and a synced journal."""

from media_gateway.stores.memory.opening import open_memory_store
from media_gateway.stores.memory.store import MemoryStore
from media_gateway.stores.memory.tuning import IndexTuning

__all__ = ["IndexTuning", "MemoryStore", "open_memory_store"]
