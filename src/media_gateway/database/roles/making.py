"""Making the roles in one transaction, which is undone when the server says that they could do more than they should."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg import AsyncConnection, sql

from media_gateway.database.engine import Engine
from media_gateway.database.roles.facts import DatabaseFacts, database_facts, named
from media_gateway.database.roles.rights import MEMBERSHIPS, Duty
from media_gateway.database.roles.statements import allowed_on, memberships_for, statements_for
from media_gateway.database.schema import LOCK
from media_gateway.errors import SchemaError, SettingsError, shown

_LONGEST_NAME: Final = 63
"""Bytes that PostgreSQL keeps of a name."""
_PASSWORD_BYTES: Final = 24
_EXCESS: Final = """
SELECT table_name, privilege FROM unnest(%(tables)s::text[]) AS table_name,
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
WHERE has_table_privilege(%(role)s, table_name, privilege)
"""
_MAKES: Final = """
SELECT has_schema_privilege(%(role)s, %(schema)s::regnamespace::oid, 'CREATE'),
    has_database_privilege(%(role)s, current_database(), 'CREATE')
"""


@dataclass(frozen=True, kw_only=True)
class RoleWish:
    """A role to make, or to bring to its rights. *password* None keeps the one that it has; a new role gets one generated."""

    duty: Duty
    name: str
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class RoleMade:
    """A role as it is now. *generated* is the password that was made up for it: nobody can ask for it again."""

    duty: Duty
    name: str
    is_new: bool
    password_set: bool
    generated: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class RolesMade:
    """What was done: *statements* without the passwords, and what only a superuser may do and is still *left*."""

    roles: Sequence[RoleMade]
    statements: Sequence[str]
    left: Sequence[str]


async def planned_roles(
    connection: AsyncConnection[Any], engine: Engine, wishes: Sequence[RoleWish], *, server: str
) -> RolesMade:
    """Return what `make_roles` would do, and do nothing; no password is generated.

    Raises SettingsError for a name that cannot be, and SchemaError where the roles cannot or must not be made.
    """
    facts, statements, left = await _planned(connection, engine, wishes, server)
    return RolesMade(
        roles=[
            RoleMade(
                duty=wish.duty,
                name=wish.name,
                is_new=wish.name not in facts.roles,
                password_set=wish.password is not None or wish.name not in facts.roles,
            )
            for wish in wishes
        ],
        statements=[statement.as_string(connection) for statement in statements],
        left=left,
    )


async def make_roles(
    connection: AsyncConnection[Any],
    engine: Engine,
    wishes: Sequence[RoleWish],
    *,
    server: str,
    new_passwords: bool = False,
) -> RolesMade:
    """Make the roles of *wishes*, or give those that are there exactly their rights; all or nothing.

    With *new_passwords* roles that are there get a generated password too, unless one is given. The server is sent
    SCRAM verifiers alone. Raises what `planned_roles` raises, and SchemaError when a role could do more than its duty.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        facts, statements, left = await _planned(connection, engine, wishes, server)
        for statement in statements:
            await connection.execute(statement)
        made = [await _with_password(connection, wish, facts, renew=new_passwords) for wish in wishes]
        for wish in wishes:
            await _refuse_excess(connection, wish, facts)
    return RolesMade(roles=made, statements=[one.as_string(connection) for one in statements], left=left)


async def _planned(
    connection: AsyncConnection[Any], engine: Engine, wishes: Sequence[RoleWish], server: str
) -> tuple[DatabaseFacts, list[sql.Composed], list[str]]:
    for wish in wishes:
        _check_wish(wish)
    if len({wish.name for wish in wishes}) < len(wishes):
        raise SettingsError(
            f"both roles are called {shown(wishes[0].name)}; expected two names", field="app_role", given=wishes[0].name
        )
    facts = await database_facts(connection, engine, server, [wish.name for wish in wishes])
    _check_asker(facts, server, wishes)
    for wish in wishes:
        _check_existing(wish, facts, server)
    statements = [statement for wish in wishes for statement in statements_for(wish.duty, wish.name, facts)]
    joining = [memberships_for(wish.name) for wish in wishes if wish.duty == "monitoring"]
    if facts.may_grant_memberships:
        return facts, statements + joining, []
    missing = [wish for wish in wishes if wish.duty == "monitoring" and not _has_joined(wish, facts)]
    return facts, statements, [memberships_for(wish.name).as_string(connection) for wish in missing]


def _has_joined(wish: RoleWish, facts: DatabaseFacts) -> bool:
    role = facts.roles.get(wish.name)
    return role is not None and set(MEMBERSHIPS) <= set(role.memberships)


def _check_wish(wish: RoleWish) -> None:
    setting = "app_role" if wish.duty == "application" else "monitor_role"
    name = wish.name
    size = len(name.encode())
    if not 1 <= size <= _LONGEST_NAME or name.startswith("pg_") or name in {"public", "none"} or "\0" in name:
        raise SettingsError(
            f"the {wish.duty} role cannot be called {shown(name)}; expected 1 to {_LONGEST_NAME} bytes that do not begin "
            "with pg_",
            field=setting,
            given=name,
        )
    if wish.password is not None and (not wish.password or "\0" in wish.password):
        raise SettingsError(
            f"the password given for {name} is empty or holds a NUL character (value hidden); give another one",
            field=setting.replace("role", "password"),
            given="(hidden)",
        )


def _check_asker(facts: DatabaseFacts, server: str, wishes: Sequence[RoleWish]) -> None:
    if not facts.is_owner:
        raise SchemaError(
            f"the tables on {server} belong to {facts.owner}, and {facts.user} may not give rights on them; run "
            f"media-gateway db roles as {facts.owner} or as a superuser"
        )
    new = [wish.name for wish in wishes if wish.name not in facts.roles]
    if new and not facts.may_create_roles:
        raise SchemaError(
            f"{facts.user} may not create the role {new[0]} on {server}; run media-gateway db roles as a superuser, or "
            f"let one run ALTER ROLE {facts.user} CREATEROLE"
        )


def _check_existing(wish: RoleWish, facts: DatabaseFacts, server: str) -> None:
    role = facts.roles.get(wish.name)
    if role is None:
        return
    allowed = set(MEMBERSHIPS) if wish.duty == "monitoring" else set[str]()
    others = sorted(set(role.memberships) - allowed)
    reasons = [*role.powers, *(f"has the rights of {other}" for other in others)]
    if role.is_asking or wish.name == facts.owner:
        reasons = ["owns the tables" if wish.name == facts.owner else "is the role that asks"]
    if reasons:
        raise SchemaError(
            f"the role {wish.name} is there already on {server} and {' and '.join(reasons)}, more than the "
            f"{wish.duty} role may; choose another name, or take that from it"
        )


async def _with_password(
    connection: AsyncConnection[Any], wish: RoleWish, facts: DatabaseFacts, *, renew: bool
) -> RoleMade:
    is_new = wish.name not in facts.roles
    generated = secrets.token_urlsafe(_PASSWORD_BYTES) if wish.password is None and (is_new or renew) else None
    password = wish.password or generated
    if password is not None:
        verifier = connection.pgconn.encrypt_password(password.encode(), wish.name.encode(), b"scram-sha-256")
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
        await connection.execute(statement.format(sql.Identifier(wish.name), sql.Literal(verifier.decode())))
    return RoleMade(
        duty=wish.duty, name=wish.name, is_new=is_new, password_set=password is not None, generated=generated
    )


async def _refuse_excess(connection: AsyncConnection[Any], wish: RoleWish, facts: DatabaseFacts) -> None:
    """Raise SchemaError when the role could do more than it was given: by what everybody was given."""
    tables = {named([table], facts.schema).as_string(connection): table for table in facts.tables}
    cursor = await connection.execute(_EXCESS, {"tables": list(tables), "role": wish.name})
    found = [
        f"{privilege} on {tables[name]}"
        for name, privilege in await cursor.fetchall()
        if privilege not in allowed_on(wish.duty, tables[name])
    ]
    cursor = await connection.execute(_MAKES, {"role": wish.name, "schema": facts.schema})
    in_schema, in_database = await cursor.fetchone() or (False, False)
    found += [f"CREATE on the schema {facts.schema}"] * in_schema
    found += [f"CREATE on the database {facts.database}"] * in_database
    if found:
        raise SchemaError(
            f"the role {wish.name} could still do more than a role of its duty may ({', '.join(found[:3])}), since that "
            "was granted to it or to everybody; nothing was changed: revoke that (REVOKE ... FROM PUBLIC), then run "
            "media-gateway db roles again"
        )
