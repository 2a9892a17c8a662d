"""The one place that names concrete classes: from settings to a store and a gateway."""

from media_gateway.wiring.backups import backups
from media_gateway.wiring.gateways import GatewayOpening, open_gateway
from media_gateway.wiring.learning import open_learning, open_scratch_interests
from media_gateway.wiring.search_logs import search_log_table
from media_gateway.wiring.servers import running_conninfo, server_conninfo
from media_gateway.wiring.stores import (
    open_alone,
    open_collection,
    open_existing,
    open_postgres,
    open_store,
    postgres_of,
    rollout_parts,
)

__all__ = [
    "GatewayOpening",
    "backups",
    "open_alone",
    "open_collection",
    "open_existing",
    "open_gateway",
    "open_learning",
    "open_postgres",
    "open_scratch_interests",
    "open_store",
    "postgres_of",
    "rollout_parts",
    "running_conninfo",
    "search_log_table",
    "server_conninfo",
]
