"""Moving from the memory store to PostgreSQL and back while the application runs.

`RolloutStore` is a `VectorStore` over both: the old one (memory) and the new one (PostgreSQL). It imports neither; they
meet through `contracts`.
"""

from media_gateway.rollout.noted import NotedStore
from media_gateway.rollout.opening import RolloutParts, open_rollout
from media_gateway.rollout.state import Mode, RolloutState
from media_gateway.rollout.store import RolloutStore

__all__ = ["Mode", "NotedStore", "RolloutParts", "RolloutState", "RolloutStore", "open_rollout"]
