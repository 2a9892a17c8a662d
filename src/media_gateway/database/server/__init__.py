"""The embedded PostgreSQL: `EmbeddedServer` is its face, the other modules are its parts."""

from media_gateway.database.server.cluster import DATABASE, USER
from media_gateway.database.server.embedded import EmbeddedServer, ServerStatus

__all__ = ["DATABASE", "USER", "EmbeddedServer", "ServerStatus"]
