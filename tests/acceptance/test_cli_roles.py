"""`db roles` as an operator uses it: made by the owner, logged in with by password, and no more than that."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.acceptance.command import SAMPLE_ROWS, Command, assert_refused

pytestmark = pytest.mark.full
NAMES = ("media_gateway_app", "media_gateway_monitor")


@pytest.fixture(scope="module")
def addresses(embedded: Command) -> Iterator[dict[str, str]]:
    """The addresses of both roles over TCP, where a password is asked for."""
    made = embedded("db", "roles", "--json").json()
    place = urlsplit(embedded.inside("db", "url", "--tcp").out.strip())
    yield {
        role["duty"]: f"postgresql://{role['name']}:{role['generated']}@127.0.0.1:{place.port}{place.path}"
        for role in made["roles"]
    }
    for name in NAMES:
        done = embedded.inside("db", "url")
        with psycopg.connect(done.out.strip(), autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}".encode())


def test_the_application_serves_with_its_own_password(embedded: Command, addresses: dict[str, str]):
    as_application = Command(
        folder=embedded.folder, variables={**embedded.variables, "DATABASE_URL": addresses["application"]}
    )
    assert as_application.inside("stats", "--json").json()["count"] == SAMPLE_ROWS
    again = as_application.inside("load", "sample", "--json")
    assert again.json()["unchanged"] == SAMPLE_ROWS
    assert "nothing was new to media_gateway_app@" in again.err
    assert as_application.inside("search", "cartoon about toys", "--json").json()
    # The first event of a month makes a partition, with the rights of the tables' owner.
    assert as_application.inside("watch", "ada", "movie-603").code == 0
    assert_refused(as_application.inside("index", "rebuild"), "does not allow this to its role", "as the tables' owner")
    assert_refused(as_application.inside("db", "roles"), "belong to media_gateway", "run media-gateway db roles as")
    wrong = addresses["application"].replace("@", "x@")
    assert_refused(as_application.inside("stats", DATABASE_URL=wrong), "password authentication failed")


def test_who_watches_reads_figures_and_changes_nothing(embedded: Command, addresses: dict[str, str]):
    watching = Command(
        folder=embedded.folder, variables={**embedded.variables, "DATABASE_URL": addresses["monitoring"]}
    )
    assert watching.inside("stats", "--json").json()["count"] == SAMPLE_ROWS
    assert watching.inside("index", "status", "--json").json()
    figures = watching.inside("monitor", "--once", "--json").json()["postgres"]
    assert figures["up"]
    assert {table["name"] for table in figures["tables"]} >= {"content_vectors", "vector_search_logs"}
    findings = json.loads(watching.inside("doctor", "--json").out)["findings"]
    assert [found["code"] for found in findings if found["severity"] == "error"] == []
    with psycopg.connect(addresses["monitoring"], autocommit=True) as connection, pytest.raises(psycopg.Error):
        connection.execute("SELECT query_text FROM vector_search_logs")


def test_made_again_they_keep_their_passwords(embedded: Command, addresses: dict[str, str]):
    again = embedded.inside("db", "roles")
    assert again.code == 0
    assert [line.partition(":")[0] for line in again.out.splitlines()] == list(NAMES)
    assert again.out.count("its password stays") == 2
    with psycopg.connect(addresses["application"]):
        pass


def test_passwords_come_from_the_environment_and_show_nowhere(embedded: Command, addresses: dict[str, str]):
    given = {"POSTGRES_APP_PASSWORD": "hunter2 hunter2", "POSTGRES_MONITOR_PASSWORD": "correct horse"}
    done = embedded.inside("db", "roles", "--json", **given)
    assert [role["password_set"] for role in done.json()["roles"]] == [True, True]
    assert all(password not in done.out + done.err for password in given.values())
    place = urlsplit(addresses["monitoring"])
    with psycopg.connect(
        host="127.0.0.1", port=place.port, user=NAMES[1], password="correct horse", dbname=place.path[1:]
    ):
        pass
    log = embedded.inside("db", "status", "--json").json()["log"]
    text = Path(log).read_text()
    assert all(password not in text for password in given.values())


def test_a_dry_run_is_a_script(embedded: Command):
    plan = embedded.inside("db", "roles", "--dry-run", "--application", "shop", "--monitoring", "watcher")
    assert plan.code == 0, plan.err
    lines = plan.out.splitlines()
    assert 'CREATE ROLE "shop" LOGIN;' in lines
    assert lines[-2:] == ['\\password "shop"', '\\password "watcher"']
    with psycopg.connect(embedded.inside("db", "url").out.strip()) as connection:
        assert connection.execute("SELECT FROM pg_roles WHERE rolname IN ('shop', 'watcher')").fetchall() == []
    assert_refused(embedded.inside("db", "roles", "--application", "pg_shop"), "cannot be called 'pg_shop'")
