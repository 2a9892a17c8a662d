"""What `db roles` must know of the database and of roles that are there already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import AsyncConnection, sql

from media_gateway.database.engine import Engine
from media_gateway.database.roles.rights import MEMBERSHIPS, project_functions, project_tables
from media_gateway.database.schema import schema_state
from media_gateway.database.statements import trusted
from media_gateway.errors import SchemaError

_DATABASE: Final = """
SELECT current_user, rolsuper, rolsuper OR rolcreaterole, current_database(), relnamespace::regnamespace::text,
    relowner::regrole::text, pg_has_role(relowner, 'USAGE'),
    (SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = %(extension)s),
    (SELECT bool_and(rolsuper OR pg_has_role(wanted, 'MEMBER WITH ADMIN OPTION')
            OR current_setting('server_version_num')::int < 160000 AND rolcreaterole) FROM unnest(%(memberships)s::text[]) AS wanted)
FROM pg_class, pg_roles
WHERE pg_class.oid = to_regclass('content_vectors') AND rolname = current_user
"""
_PUBLIC: Final = """
SELECT privilege_type FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
WHERE datname = current_database() AND grantee = 0
UNION ALL
SELECT pg_namespace.oid::regnamespace::text || ' ' || privilege_type FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner)))
WHERE grantee = 0
"""
_TABLES: Final = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relname = ANY (%s)"
_FUNCTIONS: Final = """
SELECT oid::regprocedure::text, prosecdef AND prorettype <> 'trigger'::regtype FROM pg_proc
WHERE pronamespace = %s::regnamespace AND proname = ANY (%s) ORDER BY 1
"""
_ROLES: Final = """
SELECT rolname, rolcanlogin,
    array_remove(ARRAY[CASE WHEN rolsuper THEN 'is a superuser' END, CASE WHEN rolcreaterole THEN 'may create roles' END,
        CASE WHEN rolcreatedb THEN 'may create databases' END, CASE WHEN rolreplication THEN 'may replicate' END,
        CASE WHEN rolbypassrls THEN 'may bypass row security' END], NULL),
    (SELECT coalesce(array_agg(roleid::regrole::text), '{}') FROM pg_auth_members WHERE member = pg_roles.oid),
    rolname = current_user
FROM pg_roles WHERE rolname = ANY (%s)
"""


@dataclass(frozen=True, kw_only=True)
class ExistingRole:
    """A role that the server has: whether it logs in, what it may beyond, the roles that it is in, whether it asks."""

    can_login: bool
    powers: Sequence[str]
    memberships: Sequence[str]
    is_asking: bool


@dataclass(frozen=True, kw_only=True)
class DatabaseFacts:
    """The database as it is: who asks, whose the tables are and where they lie, and what everybody may."""

    user: str
    is_superuser: bool
    may_create_roles: bool
    may_grant_memberships: bool
    database: str
    schema: str
    extension_schema: str
    owner: str
    is_owner: bool
    public: frozenset[str]
    tables: Sequence[str]
    functions: Sequence[str]
    privileged_functions: Sequence[str]
    roles: Mapping[str, ExistingRole]

    @property
    def search_path_matters(self) -> bool:
        """Whether tables or types lie where a new role would not look for them."""
        return not {self.schema, self.extension_schema} <= {"public", "pg_catalog"}


async def database_facts(
    connection: AsyncConnection[Any], engine: Engine, server: str, names: Sequence[str]
) -> DatabaseFacts:
    """Return the facts of *connection*'s database and of the roles *names*; nothing is changed.

    Raises SchemaError when the schema is missing or behind, so that no table comes later without its own rights.
    """
    state = await schema_state(connection)
    if not state.is_current:
        what = "has no schema yet" if state.is_empty else "lacks migrations"
        raise SchemaError(f"{server} {what}; run media-gateway db migrate, then media-gateway db roles")
    parameters = {"extension": engine.name, "memberships": list(MEMBERSHIPS)}
    rows = await _rows(connection, _DATABASE, parameters)
    if not rows:
        raise SchemaError(f"{server} has no table content_vectors; run media-gateway db migrate")
    user, is_superuser, creates, database, schema, owner, is_owner, extension_schema, grants = rows[0]
    present = {name for (name,) in await _rows(connection, _TABLES, [schema, project_tables()])}
    functions = await _rows(connection, _FUNCTIONS, [schema, project_functions()])
    return DatabaseFacts(
        user=user,
        is_superuser=is_superuser,
        may_create_roles=creates,
        may_grant_memberships=grants,
        database=database,
        schema=schema,
        extension_schema=extension_schema or schema,
        owner=owner,
        is_owner=is_owner,
        public=frozenset(what for (what,) in await _rows(connection, _PUBLIC)),
        tables=[name for name in project_tables() if name in present],
        functions=[signature for signature, _ in functions],
        privileged_functions=[signature for signature, is_privileged in functions if is_privileged],
        roles={
            name: ExistingRole(can_login=can_login, powers=powers, memberships=memberships, is_asking=is_asking)
            for name, can_login, powers, memberships, is_asking in await _rows(connection, _ROLES, [list(names)])
        },
    )


async def _rows(connection: AsyncConnection[Any], statement: Any, parameters: Any = ()) -> list[Any]:
    cursor = await connection.execute(statement, parameters)
    return await cursor.fetchall()


def named(names: Sequence[str], schema: str) -> sql.Composed:
    """Return *names* of tables in *schema* as a list of SQL; *schema* is quoted already, as the server gave it."""
    quoted = (sql.SQL("{}.{}").format(trusted_name(schema), sql.Identifier(name)) for name in names)
    return sql.SQL(", ").join(quoted)


def trusted_name(name: str) -> sql.SQL:
    """Return a *name* that the server itself has quoted where it needs quotes."""
    return sql.SQL(trusted(name))
