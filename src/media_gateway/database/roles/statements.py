"""The statements that give a role its rights, whatever it had before."""

from collections.abc import Iterator, Sequence
from typing import Final

from psycopg import sql

from media_gateway.database.roles.facts import DatabaseFacts, named, trusted_name
from media_gateway.database.roles.rights import APPLICATION, MEMBERSHIPS, MONITORING, ROWS, Duty

_READ: Final = ("SELECT",)


def statements_for(duty: Duty, name: str, facts: DatabaseFacts) -> Iterator[sql.Composed]:
    """Yield what makes *name* a role of that *duty*; running it again changes nothing. Passwords are not among it."""
    role = sql.Identifier(name)
    existing = facts.roles.get(name)
    if existing is None:
        yield sql.SQL("CREATE ROLE {} LOGIN").format(role)
    elif not existing.can_login:
        yield sql.SQL("ALTER ROLE {} LOGIN").format(role)
    yield from _surroundings(duty, role, facts)
    tables = named(facts.tables, facts.schema)
    yield sql.SQL("REVOKE ALL ON TABLE {} FROM {}").format(tables, role)
    yield from _application(role, facts) if duty == "application" else _monitoring(role, facts)


def memberships_for(name: str) -> sql.Composed:
    """Return what makes *name* a member of PostgreSQL's own roles for watching, which not everybody may give."""
    roles = sql.SQL(", ").join(map(trusted_name, MEMBERSHIPS))
    return sql.SQL("GRANT {} TO {}").format(roles, sql.Identifier(name))


def _surroundings(duty: Duty, role: sql.Identifier, facts: DatabaseFacts) -> Iterator[sql.Composed]:
    """Yield the way into the database and its schemas, as far as it is not open to everybody."""
    schemas = dict.fromkeys((facts.schema, facts.extension_schema))
    if f"{facts.schema} CREATE" in facts.public:
        # PostgreSQL has not given this since release 15; databases that were made before keep it.
        yield sql.SQL("REVOKE CREATE ON SCHEMA {} FROM PUBLIC").format(trusted_name(facts.schema))
    needed = ("CONNECT", "TEMPORARY") if duty == "application" else ("CONNECT",)
    missing = [privilege for privilege in needed if privilege not in facts.public]
    if missing:
        database = sql.Identifier(facts.database)
        yield sql.SQL("GRANT {} ON DATABASE {} TO {}").format(
            sql.SQL(", ").join(map(trusted_name, missing)), database, role
        )
    for schema in schemas:
        if f"{schema} USAGE" not in facts.public:
            yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(trusted_name(schema), role)
    if facts.search_path_matters:
        statement = sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path TO {}, public")
        path = sql.SQL(", ").join(trusted_name(schema) for schema in schemas if schema != "public")
        yield statement.format(role, sql.Identifier(facts.database), path)


def _application(role: sql.Identifier, facts: DatabaseFacts) -> Iterator[sql.Composed]:
    by_rights: dict[Sequence[str], list[str]] = {}
    for table in facts.tables:
        by_rights.setdefault(APPLICATION.get(table, ROWS), []).append(table)
    for rights, tables in by_rights.items():
        granted = sql.SQL(", ").join(map(trusted_name, rights))
        yield sql.SQL("GRANT {} ON TABLE {} TO {}").format(granted, named(tables, facts.schema), role)
    if facts.privileged_functions:
        # They write with the rights of the tables' owner, and everybody may call a function unless told otherwise.
        privileged = sql.SQL(", ").join(map(trusted_name, facts.privileged_functions))
        yield sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(privileged)
    functions = sql.SQL(", ").join(map(trusted_name, facts.functions))
    yield sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(functions, role)
    later = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} GRANT {} TO {}")
    for rights in (f"{', '.join(ROWS)} ON TABLES", "USAGE, SELECT ON SEQUENCES", "EXECUTE ON FUNCTIONS"):
        yield later.format(trusted_name(facts.owner), trusted_name(facts.schema), trusted_name(rights), role)


def _monitoring(role: sql.Identifier, facts: DatabaseFacts) -> Iterator[sql.Composed]:
    whole = [table for table in facts.tables if MONITORING.get(table) == ()]
    yield sql.SQL("GRANT SELECT ON TABLE {} TO {}").format(named(whole, facts.schema), role)
    for table in facts.tables:
        columns = MONITORING.get(table)
        if columns:
            listed = sql.SQL(", ").join(map(sql.Identifier, columns))
            yield sql.SQL("GRANT SELECT ({}) ON TABLE {} TO {}").format(listed, named([table], facts.schema), role)


def allowed_on(duty: Duty, table: str) -> Sequence[str]:
    """Return what a role of that *duty* may do with the whole of *table*."""
    if duty == "application":
        return APPLICATION.get(table, ROWS)
    return _READ if MONITORING.get(table) == () else ()
