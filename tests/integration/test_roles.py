"""The roles of `db roles`: what they may do, what they may not, and that nothing else comes of making them."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from media_gateway.contracts import Explains
from media_gateway.database.engine import PGVECTOR
from media_gateway.database.roles import RolesMade, RoleWish, make_roles, planned_roles
from media_gateway.database.roles.rights import APPLICATION, MONITORING, project_functions, project_tables
from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import SchemaError, SettingsError
from media_gateway.models import SearchRequest, VectorSpace
from tests.postgres import TestServer
from tests.samples import clustered, records

pytestmark = pytest.mark.anyio

SPACE = VectorSpace(model="test", dimension=32)
WATCHING = {
    "active connections": """
        SELECT datname, count(*) as connections, sum(case when state = 'active' then 1 else 0 end) as active
        FROM pg_stat_activity WHERE datname = current_database() GROUP BY datname""",
    "slow queries": """
        SELECT query, calls, total_exec_time / 1000 as total_seconds, mean_exec_time as avg_ms, max_exec_time as max_ms
        FROM pg_stat_statements WHERE query LIKE '%content_vectors%' ORDER BY mean_exec_time DESC LIMIT 10""",
    "table size": """
        SELECT schemaname, tablename, pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename)) as size
        FROM pg_tables WHERE tablename = 'content_vectors'""",
    "index usage": """
        SELECT indexrelname, idx_scan, idx_tup_read, idx_tup_fetch FROM pg_stat_user_indexes
        WHERE indexrelname LIKE '%content_vectors%'""",
}
"""The four queries of the operators' cheat sheet, which names the database where this asks for the present one."""
CHANGES = (
    "CREATE TABLE another (id integer)",
    "CREATE SCHEMA another",
    "CREATE FUNCTION another() RETURNS integer LANGUAGE sql RETURN 1",
    "CREATE INDEX another ON content_vectors (created_at)",
    "CREATE EXTENSION pg_buffercache",
    "ALTER TABLE content_vectors ADD COLUMN another integer",
    "ALTER TABLE content_vectors DISABLE TRIGGER ALL",
    "ALTER FUNCTION content_genre_ids(jsonb) RENAME TO another",
    "DROP TABLE content_embedding_cache",
    "DROP INDEX content_vectors_hnsw_idx",
    "TRUNCATE content_vectors",
    "TRUNCATE vector_search_logs",
    "COMMENT ON TABLE content_vectors IS 'another'",
    "CREATE ROLE another",
    "COPY content_vectors TO PROGRAM 'true'",
)
WRITES = (
    "INSERT INTO content_vectors (id, vector, metadata) VALUES ('a', array_fill(1, ARRAY[32])::vector, '{}')",
    "UPDATE content_vectors SET metadata = '{}'",
    "DELETE FROM content_vectors",
    "DELETE FROM vector_search_logs",
    "UPDATE content_collection SET model = 'another'",
    "SELECT content_changes_mark()",
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A database with its two roles."""

    owner: dict[str, Any]
    application: dict[str, Any]
    monitoring: dict[str, Any]

    @property
    def wishes(self) -> list[RoleWish]:
        return [
            RoleWish(duty="application", name=self.application["user"]),
            RoleWish(duty="monitoring", name=self.monitoring["user"]),
        ]

    async def make(self, *wishes: RoleWish, **options: Any) -> RolesMade:
        async with await connect_dedicated(self.owner) as connection:
            return await make_roles(connection, PGVECTOR, wishes or self.wishes, server="the server", **options)

    def asked(self, who: dict[str, Any], statement: str, *values: object) -> list[Any]:
        with psycopg.connect(**who, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def refused(self, who: dict[str, Any], *statements: str) -> None:
        with psycopg.connect(**who, autocommit=True) as connection:
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())


@pytest.fixture
async def place(postgres: TestServer) -> Any:
    store = await postgres.open_store(SPACE)
    await store.upsert(records(5))
    owner = dict(store.endpoint.conninfo)
    await store.aclose()
    name = owner["dbname"]
    made = Place(owner=owner, application={**owner, "user": f"app_{name}"}, monitoring={**owner, "user": f"mon_{name}"})
    yield made
    postgres.drop_database(owner)
    for role in (made.application["user"], made.monitoring["user"]):
        postgres.admin(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


async def test_the_application_reads_and_writes_rows_and_changes_no_table(place: Place, postgres: TestServer):
    await place.make()
    store = await postgres.open_store(SPACE, place.application)
    await store.upsert(records(8))
    assert (await store.search(SearchRequest(vector=clustered(1, 32)[0], k=3))).hits
    assert await store.delete(["movie-1"]) == 1
    assert (await store.stats()).count == 7
    assert isinstance(store, Explains)
    await store.aclose()
    place.refused(place.application, *CHANGES)
    place.refused(
        place.application,
        "DELETE FROM content_schema_history",
        "UPDATE content_rollout SET mode = 'off'",
        "DELETE FROM content_rollout",
        "DELETE FROM content_changes",
        "UPDATE content_search_profiles SET ef_search = 1",
    )


async def test_tables_of_later_migrations_are_the_applications_and_not_the_watchers(place: Place):
    await place.make()
    place.asked(place.owner, "CREATE TABLE later (number serial, text text)")
    place.asked(place.application, "INSERT INTO later (text) VALUES ('a')")
    assert place.asked(place.application, "SELECT number, text FROM later") == [(1, "a")]
    place.refused(place.application, "TRUNCATE later", "DROP TABLE later")
    place.refused(place.monitoring, "SELECT FROM later")


async def test_who_watches_sees_how_the_server_does_and_no_searches(place: Place):
    await place.make()
    place.asked(place.owner, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    vector = str([1.0] * 32)
    place.asked(
        place.owner,
        "INSERT INTO vector_search_logs (kind, model, query_vector, query_text, k, exact, result_keys, user_id, "
        "latency_ms, store) VALUES ('text', 'test', %s::vector, 'a secret wish', 3, false, '{movie-1}', 'ada', 1, 'postgres')",
        vector,
    )
    for name, query in WATCHING.items():
        rows = place.asked(place.monitoring, query)
        assert rows, name
        # Of other roles' sessions and statements too.
        assert all("insufficient privilege" not in str(row) for row in rows)
    assert place.asked(place.monitoring, "SELECT count(*) FROM content_vectors") == [(5,)]
    assert place.asked(place.monitoring, "SELECT latency_ms, k FROM vector_search_logs") == [(1.0, 3)]
    assert place.asked(place.monitoring, "SHOW data_directory")
    place.refused(
        place.monitoring,
        *CHANGES,
        *WRITES,
        *(
            f"SELECT {column} FROM vector_search_logs"
            for column in ("*", "query_text", "query_vector", "user_id", "filter_json", "result_keys")
        ),
        "SELECT vector FROM content_embedding_cache",
        "SELECT passwd FROM pg_shadow",
    )


async def test_making_them_again_changes_nothing_and_takes_back_what_was_added(place: Place):
    first = await place.make()
    assert [role.is_new for role in first.roles] == [True, True]
    assert all(role.generated for role in first.roles)
    before = _rights(place)
    place.asked(place.owner, f"GRANT ALL ON content_vectors, content_rollout TO {place.application['user']}")
    place.asked(place.owner, f"GRANT SELECT (user_id) ON vector_search_logs TO {place.monitoring['user']}")
    assert _rights(place) != before
    second = await place.make()
    assert [(role.is_new, role.generated) for role in second.roles] == [(False, None)] * 2
    assert _rights(place) == before


def _rights(place: Place) -> list[Any]:
    """Everything that the roles were given here, and their passwords' verifiers."""
    names = [place.application["user"], place.monitoring["user"]]
    objects = place.asked(
        place.owner,
        "SELECT relname, relacl::text, NULL FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "UNION ALL SELECT attname, attacl::text, attrelid::regclass::text FROM pg_attribute WHERE attacl IS NOT NULL "
        "UNION ALL SELECT proname, proacl::text, NULL FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
        "UNION ALL SELECT defaclobjtype::text, defaclacl::text, NULL FROM pg_default_acl ORDER BY 1, 3",
    )
    roles = place.asked(
        place.owner, "SELECT rolname, rolpassword, rolcanlogin, rolsuper FROM pg_authid WHERE rolname = ANY (%s)", names
    )
    return [objects, sorted(roles)]


async def test_a_dry_run_says_what_would_run_and_does_nothing(place: Place):
    async with await connect_dedicated(place.owner) as connection:
        plan = await planned_roles(connection, PGVECTOR, place.wishes, server="the server")
    names = [place.application["user"], place.monitoring["user"]]
    assert place.asked(place.owner, "SELECT FROM pg_roles WHERE rolname = ANY (%s)", names) == []
    assert [role.password_set for role in plan.roles] == [True, True]
    # As a script it does the same.
    place.asked(place.owner, ";\n".join(plan.statements))
    scripted = _rights(place)
    made = await place.make()
    assert made.statements != plan.statements
    assert made.statements == [one for one in plan.statements if not one.startswith("CREATE ROLE")]
    assert _rights(place) == scripted


async def test_the_server_never_hears_a_password(place: Place, postgres: TestServer):
    log = postgres.embedded.status().log
    assert log is not None
    async with await connect_dedicated(place.owner) as connection:
        await connection.execute("SET log_statement = 'all'")
        wishes = [
            RoleWish(duty="application", name=place.application["user"], password="Grüße aus Wien"),
            place.wishes[1],
        ]
        made = await make_roles(connection, PGVECTOR, wishes, server="the server")
    assert made.roles[0].generated is None
    generated = made.roles[1].generated
    assert generated is not None
    written = Path(log).read_text()
    assert "ALTER ROLE" in written
    assert generated not in written
    assert "Grüße" not in written
    assert generated not in f"{made!r}{wishes!r}{made.statements}"
    stored = place.asked(place.owner, "SELECT rolpassword FROM pg_authid WHERE rolname = %s", place.monitoring["user"])
    assert _is_verifier_of(generated, stored[0][0])
    renewed = await place.make(new_passwords=True)
    assert renewed.roles[1].generated not in {None, generated}


def _is_verifier_of(password: str, verifier: str) -> bool:
    """By RFC 5802, section 3: StoredKey is the hash of the client's key."""
    scheme, parameters, keys = verifier.split("$")
    rounds, salt = parameters.split(":")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    return scheme == "SCRAM-SHA-256" and keys.split(":")[0] == base64.b64encode(stored).decode()


async def test_roles_that_could_do_more_are_refused_and_not_made(place: Place, postgres: TestServer):
    place.asked(place.owner, "GRANT TRUNCATE ON content_vectors TO PUBLIC")
    with pytest.raises(SchemaError, match=r"could still do more .*\(TRUNCATE on content_vectors\)"):
        await place.make()
    assert place.asked(place.owner, "SELECT FROM pg_roles WHERE rolname = %s", place.application["user"]) == []
    place.asked(place.owner, "REVOKE TRUNCATE ON content_vectors FROM PUBLIC")
    # As every database had it that was made before PostgreSQL 15.
    place.asked(place.owner, "GRANT CREATE ON SCHEMA public TO PUBLIC")
    made = await place.make()
    assert "REVOKE CREATE ON SCHEMA public FROM PUBLIC" in made.statements
    place.refused(place.application, *CHANGES)

    name = place.application["user"]
    for power, said in (("SUPERUSER", "is a superuser"), ("CREATEDB", "may create databases")):
        place.asked(place.owner, f"ALTER ROLE {name} {power}")
        with pytest.raises(SchemaError, match=f"{name} is there already .* and {said}"):
            await place.make()
        place.asked(place.owner, f"ALTER ROLE {name} NO{power}")
    place.asked(place.owner, f"GRANT pg_write_all_data TO {name}")
    with pytest.raises(SchemaError, match="has the rights of pg_write_all_data"):
        await place.make()
    with pytest.raises(SchemaError, match="owns the tables"):
        await place.make(RoleWish(duty="application", name=place.owner["user"]))


@pytest.mark.parametrize("name", ["", "pg_mine", "x" * 64, "public", "a\0b"])
async def test_a_name_that_cannot_be_is_refused(place: Place, name: str):
    with pytest.raises(SettingsError, match="cannot be called"):
        await place.make(RoleWish(duty="monitoring", name=name))


async def test_wishes_that_contradict_themselves_are_refused(place: Place):
    same = [RoleWish(duty="application", name="one"), RoleWish(duty="monitoring", name="one")]
    with pytest.raises(SettingsError, match="both roles are called 'one'"):
        await place.make(*same)
    with pytest.raises(SettingsError, match="value hidden"):
        await place.make(RoleWish(duty="application", name="one", password="a\0b"))


async def test_an_owner_who_is_no_superuser_makes_them_and_says_what_is_left(place: Place, postgres: TestServer):
    admin = place.owner["user"]
    owner = {**place.owner, "user": f"owner_{place.owner['dbname']}"}
    name = sql.Identifier(owner["user"])
    place.asked(
        place.owner, f"CREATE ROLE {owner['user']} LOGIN; ALTER DATABASE {owner['dbname']} OWNER TO {owner['user']}"
    )
    for table in project_tables():
        place.asked(place.owner, f"ALTER TABLE {table} OWNER TO {owner['user']}")
    for signature in place.asked(
        place.owner, "SELECT oid::regprocedure::text FROM pg_proc WHERE proname = ANY (%s)", project_functions()
    ):
        place.asked(place.owner, f"ALTER FUNCTION {signature[0]} OWNER TO {owner['user']}")
    mine = Place(owner=owner, application=place.application, monitoring=place.monitoring)
    with pytest.raises(SchemaError, match=f"{owner['user']} may not create the role {place.application['user']}"):
        await mine.make()
    place.asked(place.owner, f"ALTER ROLE {owner['user']} CREATEROLE")
    made = await mine.make()
    (left,) = made.left
    assert left == f'GRANT pg_read_all_stats, pg_read_all_settings TO "{place.monitoring["user"]}"'
    place.refused(place.application, *CHANGES)
    place.refused(place.monitoring, *CHANGES, *WRITES)
    place.asked(place.owner, left)
    assert (await mine.make()).left == []
    stranger = Place(owner=place.application, application={"user": "x"}, monitoring={"user": "y"})
    with pytest.raises(SchemaError, match=f"belong to {owner['user']}"):
        await stranger.make()
    place.asked(place.owner, f"REASSIGN OWNED BY {owner['user']} TO {admin}; DROP OWNED BY {owner['user']}")
    postgres.drop_database(owner)
    for role in (place.application["user"], place.monitoring["user"]):
        postgres.admin(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
    postgres.admin(sql.SQL("DROP ROLE {}").format(name))


async def test_tables_outside_of_public_are_found_by_the_roles(postgres: TestServer):
    owner = postgres.new_database()
    name = owner["dbname"]
    place = Place(
        owner=owner, application={**owner, "user": f"app_{name}"}, monitoring={**owner, "user": f"mon_{name}"}
    )
    place.asked(owner, 'CREATE SCHEMA "the shop"')
    place.asked(owner, f'ALTER ROLE {owner["user"]} IN DATABASE {name} SET search_path = "the shop", public')
    await (await postgres.open_store(SPACE, owner)).aclose()
    await place.make()
    store = await postgres.open_store(SPACE, place.application)
    await store.upsert(records(3))
    assert (await store.stats()).count == 3
    await store.aclose()
    assert place.asked(place.monitoring, "SELECT count(*) FROM content_vectors") == [(3,)]
    place.refused(place.application, 'CREATE TABLE "the shop".another (id integer)')


async def test_a_schema_that_is_behind_is_said_to_a_role_that_may_not_bring_it_up(place: Place, postgres: TestServer):
    await place.make()
    for table in ("content_schema_history",):
        place.asked(place.owner, f"DELETE FROM {table} WHERE version > 7")
    with pytest.raises(SchemaError, match=r"lacks the migrations 8 .*may not change tables.* as media_gateway"):
        await postgres.open_store(SPACE, place.application, auto_migrate=True)
    with pytest.raises(SchemaError, match=r"lacks the migrations 8 .*as the role that owns the tables"):
        await postgres.open_store(SPACE, place.application, auto_migrate=False)
    with pytest.raises(SchemaError, match="lacks migrations; run media-gateway db migrate"):
        await place.make()


def test_every_table_is_known_to_the_rights():
    assert set(APPLICATION) | set(MONITORING) <= set(project_tables())


async def test_the_tables_and_functions_are_those_that_there_are(place: Place):
    found = place.asked(
        place.owner,
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace "
        "AND NOT relispartition",
    )
    assert {name for (name,) in found} == set(project_tables())
    functions = place.asked(
        place.owner,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS "
        "(SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')",
    )
    assert {name for (name,) in functions} == set(project_functions())
