"""The logged searches beside a store."""

from media_gateway.contracts import VectorStore
from media_gateway.database.search_log import SearchLogTable
from media_gateway.wiring.stores import postgres_of


def search_log_table(store: VectorStore) -> SearchLogTable | None:
    """Return the table of logged searches beside *store*, or None where there is none: it lives in PostgreSQL."""
    postgres = postgres_of(store)
    if postgres is None:
        return None
    return SearchLogTable(
        postgres.serving_connection,
        server=postgres.endpoint.server,
        space=postgres.space,
        vector_type=postgres.endpoint.engine.vector_type,
    )
