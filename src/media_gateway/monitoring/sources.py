"""From what the parts of a gateway count to samples of the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from media_gateway.monitoring.families import Reading, Samples

_MODES: Final = ("off", "shadow", "canary", "on")


@dataclass(frozen=True, kw_only=True)
class RolloutFacts:
    """Where a rollout stands: *share* of the users read from PostgreSQL; *overlap* is None before a comparison."""

    mode: str
    share: float
    epoch: int
    is_tripped: bool
    overlap: float | None

    def samples(self) -> Reading:
        """Return it as samples of the metrics."""
        found: dict[str, Samples] = {
            "rollout_mode": {(mode,): float(mode == self.mode) for mode in _MODES},
            "rollout_canary_ratio": self.share,
            "rollout_epoch": float(self.epoch),
            "rollout_guard_tripped": float(self.is_tripped),
        }
        if self.overlap is not None:
            found["rollout_shadow_overlap_ratio"] = self.overlap
        return found


def embedding_reading(usage: Mapping[str, Any]) -> Reading:
    """Return the samples of an embedder's *usage*; a local model makes no requests, and an unknown cost has no sample."""
    found: dict[str, Samples] = {
        "embedding_requests_total": float(usage.get("requests", 0)),
        "embedding_errors_total": float(usage.get("failed", 0)),
        "embedding_tokens_total": float(usage.get("tokens", 0)),
    }
    cost = usage.get("cost", 0.0)
    if cost is not None:
        found["embedding_cost_dollars_total"] = float(cost)
    cache: Mapping[str, Any] = usage.get("cache", {})
    found["embedding_cache_hits_total"] = float(sum(cache.get(name, 0) for name in ("memory", "shared", "table")))
    found["embedding_cache_misses_total"] = float(cache.get("misses", 0))
    return found


def search_log_reading(measures: Mapping[str, Any]) -> Reading:
    """Return the samples of a search log's *measures*."""
    return {"search_log_rows_total": {(outcome,): float(measures[outcome]) for outcome in ("logged", "dropped")}}


def pool_reading(measures: Mapping[str, int]) -> Reading:
    """Return the samples of a pool's *measures*, as psycopg_pool names them."""
    size, idle = measures.get("pool_size", 0), measures.get("pool_available", 0)
    return {
        "pool_connections": {("idle",): float(idle), ("used",): float(max(0, size - idle))},
        "pool_connections_max": float(measures.get("pool_max", 0)),
    }


def pool_is_busy(measures: Mapping[str, int]) -> bool:
    """Return whether callers wait, or would have to if one more came."""
    size, idle = measures.get("pool_size", 0), measures.get("pool_available", 0)
    return measures.get("requests_waiting", 0) > 0 or (idle == 0 and size >= measures.get("pool_max", 0))
