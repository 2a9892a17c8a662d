"""What the metrics tell of standbys, read from a recorded view: a standby takes more than a test has."""

import pytest

from media_gateway.database.schema import connect_dedicated
from media_gateway.monitoring.postgres import PostgresReading, read_postgres
from tests.postgres import TestServer

pytestmark = pytest.mark.anyio

LAG = "postgres_replication_lag_seconds"


async def _read(postgres: TestServer, standbys: str) -> PostgresReading:
    """Return what is read where `pg_stat_replication` holds *standbys*, which stands before PostgreSQL's own."""
    connection = await connect_dedicated(postgres.new_database())
    try:
        await connection.execute("CREATE SCHEMA recorded")
        await connection.execute(
            "CREATE TABLE recorded.pg_stat_replication (application_name text, state text, replay_lag interval)"
        )
        await connection.execute(f"INSERT INTO recorded.pg_stat_replication {standbys}".encode())
        await connection.execute("SET search_path = recorded, pg_catalog, public")
        return await read_postgres(connection)
    finally:
        await connection.close()


async def test_the_slowest_standby_counts(postgres: TestServer):
    rows = "VALUES ('a', 'streaming', '2 s'), ('b', 'catchup', '90 s'), ('c', 'streaming', NULL)"
    assert (await _read(postgres, rows)).samples()[LAG] == 90


async def test_without_standbys_there_is_no_lag(postgres: TestServer):
    assert (await _read(postgres, "SELECT WHERE false")).samples()[LAG] == 0


async def test_standbys_that_the_role_may_not_see_do_not_pass_for_ones_without_a_lag(postgres: TestServer):
    # So they look to whoever lacks pg_read_all_stats.
    reading = await _read(postgres, "VALUES ('a', NULL, NULL)")
    assert LAG not in reading.samples()
    assert "replication" in reading.missing
