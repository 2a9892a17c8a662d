"""From where on something is told of."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The values from which on a reading becomes a finding; seconds, bytes, and shares of 1.

    *answer_seconds* is how long the server may take to answer one question before it counts as hung.
    *connections_share* of the connections in use is a warning, *connections_full* an error. *dead_share* is that at which
    `index status` advises a rebuild too, and *dead_rows* how many there must be. A disk is nearly full when less than
    *disk_share* and fewer than *disk_bytes* are free, and full below *disk_full_bytes*. *backup_seconds* is a day and two
    hours to make one. *cold_share* is that of an index's pages which a search had to fetch from outside of shared_buffers.
    *grown* is how many times larger than at its tuning a collection may be. *wraparound* is half of what PostgreSQL has
    (manual, 24.1.5).
    """

    answer_seconds: float = 10.0
    connections_share: float = 0.8
    connections_full: float = 0.97
    idle_seconds: float = 60.0
    transaction_seconds: float = 900.0
    waiting_seconds: float = 30.0
    prepared_seconds: float = 300.0
    dead_share: float = 0.2
    dead_rows: int = 1_000
    stale_share: float = 0.2
    wraparound: int = 1_000_000_000
    disk_share: float = 0.1
    disk_bytes: int = 50 * 2**30
    disk_full_bytes: int = 256 * 2**20
    backup_seconds: float = 26 * 3600.0
    replica_seconds: float = 30.0
    replica_bytes: int = 256 * 2**20
    cold_share: float = 0.5
    buffer_share: float = 0.8
    grown: float = 2.0
    journal_bytes: int = 64 * 2**20
    journal_share: float = 0.5
