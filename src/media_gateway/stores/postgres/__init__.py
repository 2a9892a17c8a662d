"""The PostgreSQL store and how it is opened."""

from media_gateway.stores.postgres.opening import open_postgres_store
from media_gateway.stores.postgres.store import PostgresStore

__all__ = ["PostgresStore", "open_postgres_store"]
