"""Every family of metrics that this package keeps: its name, its type, its labels and what it means.

Names follow Prometheus' conventions: base units, `_total` for what only grows. No label takes what a caller sends.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

PREFIX: Final = "media_gateway_"

Samples: TypeAlias = float | Mapping[tuple[str, ...], float]
"""The value of a family without labels, or the values by those of its labels."""
Reading: TypeAlias = Mapping[str, Samples]
"""Samples by the name of their family; families that are left out have none."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of metrics; *help* is the sentence that Prometheus shows."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


def _counter(text: str, *labels: str) -> Family:
    return Family(kind="counter", help=text, labels=labels)


def _gauge(text: str, *labels: str) -> Family:
    return Family(kind="gauge", help=text, labels=labels)


COUNTED: Final[Mapping[str, Family]] = {
    "store_operation_duration_seconds": Family(
        kind="histogram", help="Time that an operation of a store took.", labels=("operation", "store")
    ),
    "store_operation_errors_total": _counter(
        "Operations of a store that failed, bad input aside.", "operation", "store", "error"
    ),
    "searches_total": _counter("Searches that a store answered, by a scan (exact) or an index.", "store", "plan"),
    "searches_short_total": _counter("Searches with fewer than k hits although more records qualify.", "store"),
    "recall_samples_total": _counter("Searches whose answers were compared with exact ones.", "store"),
    "pool_wait_seconds": Family(kind="histogram", help="Time that a caller waited for a connection to PostgreSQL."),
    "pool_timeouts_total": _counter("Callers that got no connection to PostgreSQL in time."),
}
"""Families that are counted as things happen."""

READ: Final[Mapping[str, Family]] = {
    "recall_ratio": _gauge("Share of the exact answer that searches found, mean of the last samples.", "store"),
    "recall_target_ratio": _gauge("Recall that searches shall reach."),
    "pool_connections": _gauge("Connections to PostgreSQL in the pool.", "state"),
    "pool_connections_max": _gauge("Connections that the pool may have."),
    "postgres_up": _gauge("Whether the last reading of PostgreSQL succeeded."),
    "postgres_connections": _gauge("Connections to the database, by all clients.", "state"),
    "postgres_connections_max": _gauge("Connections that the server admits."),
    "postgres_relation_size_bytes": _gauge("Size of a table with its TOAST, or of an index.", "relation"),
    "postgres_index_scans_total": _counter("Times that an index of content_vectors was used.", "index"),
    "postgres_dead_rows": _gauge("Rows that wait for vacuum, by PostgreSQL's estimate.", "relation"),
    "postgres_replication_lag_seconds": _gauge("Time by which the slowest standby lags behind; 0 without a standby."),
    "postgres_statement_mean_seconds": _gauge(
        "Mean time of the ten slowest statements on content_vectors, by a hash of their text.", "statement"
    ),
    "postgres_oldest_transaction_seconds": _gauge("Age of the oldest transaction that is open in the database."),
    "disk_free_bytes": _gauge("Space that is free on a volume.", "volume"),
    "disk_size_bytes": _gauge("Space that a volume has in all.", "volume"),
    "collection_records": _gauge("Records in the collection; an estimate where the table is large."),
    "backup_last_success_timestamp_seconds": _gauge("Unix time of the newest backup; 0 when there is none."),
    "build_info": _gauge(
        "1, with the version of the program, the backend and the engine.", "version", "backend", "engine"
    ),
    "rollout_mode": _gauge("1 for the mode of the rollout that holds, 0 for the others.", "mode"),
    "rollout_canary_ratio": _gauge("Share of the users who read from PostgreSQL."),
    "rollout_epoch": _gauge("Number of the rollout's state."),
    "rollout_guard_tripped": _gauge("Whether the guard turned reads back to memory."),
    "rollout_shadow_overlap_ratio": _gauge("Share of the hits that both stores give, mean of the last comparisons."),
    "transfer_rows_done": _gauge("Records that the newest resumable transfer has acknowledged."),
    "transfer_rows_expected": _gauge("Records that the newest resumable transfer will have moved."),
    "embedding_requests_total": _counter("Requests to an embedding service, failed ones among them."),
    "embedding_errors_total": _counter("Requests to an embedding service that brought no vectors."),
    "embedding_tokens_total": _counter("Tokens that an embedding service says it counted."),
    "embedding_cost_dollars_total": _counter("Cost of embeddings in US dollars at list price, where that is known."),
    "embedding_cache_hits_total": _counter("Texts whose vector was at hand."),
    "embedding_cache_misses_total": _counter("Texts that had to be embedded."),
    "search_log_rows_total": _counter("Sampled searches that were written to the log, or dropped.", "outcome"),
    "learning_events_total": _counter(
        "Events of users that this process wrote, those among them that were there already.", "kind"
    ),
    "learning_events_dropped_total": _counter("Events for which there was no room."),
    "learning_queue_rows": _gauge("Events that this process has still to write."),
    "learning_waiting_rows": _gauge("Events that nothing has learned from yet."),
    "learning_model_age_seconds": _gauge("Time since something was learned."),
    "learning_version": _gauge("Version of the weights in use."),
    "learning_click_through_ratio": _gauge(
        "Share of what was recommended in the last week that was clicked or watched.", "version", "source"
    ),
    "learning_click_through_by_rank_ratio": _gauge("The same, by the place in the list.", "rank"),
    "learning_shown_ndcg_ratio": _gauge(
        "NDCG of recommended lists that were clicked, mean of the last week.", "version"
    ),
    "learning_coverage_ratio": _gauge("Share of all records that were recommended to somebody in the last week."),
    "learning_novelty_bits": _gauge("How few users like what was recommended: the mean of -log2 of their share."),
}
"""Families that are read when Prometheus asks, from memory alone."""
