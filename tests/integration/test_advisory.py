"""Advisory locks on a real server: taken at once or not at all, and given back before the connection is closed."""

from typing import Any

import psycopg
import pytest

from media_gateway.database.advisory import advisory_lock
from media_gateway.database.schema import connect_dedicated
from tests.postgres import TestServer

pytestmark = pytest.mark.anyio

KEY = 7_301_552_004


async def test_a_lock_is_one_session_s_until_it_is_given_back(postgres: TestServer) -> None:
    conninfo = postgres.new_database()
    async with await connect_dedicated(conninfo) as one, await connect_dedicated(conninfo) as other:
        async with advisory_lock(one, KEY) as is_ones:
            async with advisory_lock(other, KEY) as is_others:
                assert (is_ones, is_others) == (True, False)
            async with advisory_lock(other, KEY) as is_others:
                assert not is_others, "who did not get it does not give it back"
        # The first connection is still open: who asks now need not wait for the server to see it close.
        async with advisory_lock(other, KEY) as is_others:
            assert is_others


async def ended(connection: psycopg.AsyncConnection[Any], by: psycopg.AsyncConnection[Any]) -> None:
    async with advisory_lock(connection, KEY) as is_ours:
        assert is_ours
        await by.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
        await connection.execute("SELECT 1")


async def failed(connection: psycopg.AsyncConnection[Any]) -> None:
    async with advisory_lock(connection, KEY):
        await connection.execute("SELECT 1 / 0")


async def test_it_is_given_back_after_an_error_and_a_lost_connection_hides_none(postgres: TestServer) -> None:
    conninfo = postgres.new_database()
    async with await connect_dedicated(conninfo) as one, await connect_dedicated(conninfo) as other:
        with pytest.raises(psycopg.errors.DivisionByZero):
            await failed(one)
        with pytest.raises(psycopg.errors.AdminShutdown):
            await ended(other, by=one)
