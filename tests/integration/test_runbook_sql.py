"""The SQL of the runbooks runs on a real server, as whoever is paged would give it."""

import re

import psycopg
import pytest
from psycopg import sql

from media_gateway.models import VectorSpace
from tests.documents import ROOT
from tests.postgres import TestServer

pytestmark = pytest.mark.anyio

PAGES = sorted((ROOT / "docs" / "runbooks").glob("*.md"))


async def test_the_sql_of_the_runbooks_runs(postgres: TestServer) -> None:
    given = [
        (page.stem, statement)
        for page in PAGES
        for statement in re.findall(r'db psql -c "([^"]+)"', page.read_text())
        if "(PID)" not in statement
    ]
    assert len(given) >= 10
    store = await postgres.open_store(VectorSpace(model="test", dimension=32))
    await store.aclose()
    with psycopg.connect(**store.endpoint.conninfo, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        for page, statement in given:
            cursor = connection.execute(sql.SQL(statement))  # pyright: ignore[reportArgumentType]  it is ours
            if statement.startswith("S"):
                assert cursor.description, page
