"""Health, and the figures of the collection."""

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from media_gateway.server.wire.base import Shown


class Live(Shown):
    """The process lives."""

    live: bool


class CheckShown(Shown):
    """One thing that serving needs; some have figures beside this."""

    model_config = ConfigDict(frozen=True, extra="allow")

    passes: bool
    detail: str


class Ready(Shown):
    """All checks pass."""

    ready: bool
    checks: dict[str, CheckShown]


class Stats(Shown):
    """The size and make of the collection."""

    backend: Annotated[str, Field(examples=["postgres"])]
    count: Annotated[int, Field(description="Records.")]
    dimension: Annotated[int | None, Field(description="Numbers of a vector; null while nothing was stored.")]
    model: str | None
    table_bytes: int
    index_bytes: int
    index: Annotated[str | None, Field(description="What searches use now; null when they scan.")]
    details: Annotated[dict[str, Any], Field(description="What this kind of store adds.")]


LIVE_EXAMPLE: Final = {"live": True}
READY_EXAMPLE: Final = {
    "ready": True,
    "checks": {
        "gateway": {"passes": True, "detail": "it is open"},
        "store": {"passes": True, "detail": "it answers", "milliseconds": 0.42},
        "pool": {
            "passes": True,
            "detail": "it lends connections",
            "connections": 2,
            "idle": 2,
            "most": 20,
            "waiting": 0,
        },
        "schema": {"passes": True, "detail": "it is current"},
        "index": {"passes": True, "detail": "it is there", "index": "content_vectors_hnsw_idx"},
        "warm": {"passes": True, "detail": "3,153,920 bytes were read in 0.1 s"},
    },
}
STATS_EXAMPLE: Final = {
    "backend": "postgres",
    "count": 614,
    "dimension": 384,
    "model": "all-MiniLM-L6-v2-int8",
    "table_bytes": 2351104,
    "index_bytes": 1277952,
    "index": "content_vectors_hnsw_idx",
    "details": {"ef_search": 40},
}
