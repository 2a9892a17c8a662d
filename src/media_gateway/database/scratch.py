"""Databases beside the one in use: made for a restore, dropped again, or put in its place by renaming both."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final, LiteralString

import anyio
import psycopg
from psycopg import AsyncConnection, sql

from media_gateway.database.advisory import advisory_lock
from media_gateway.database.faults import faults_translated
from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import SchemaError, StoreError

_LOCK: Final = 0x6D65_6469_6172_7374  # "mediarst"
_LONGEST_NAME: Final = 63
"""Bytes that PostgreSQL keeps of a name."""
_PAUSE: Final = 0.05

_MAY_CREATE: Final = "SELECT rolname, rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
_LEFTOVERS: Final = "SELECT datname FROM pg_database WHERE datname ~ '_restoring_[0-9a-f]{8}$'"
_MARK_LENGTH: Final = len("_restoring_01234567")
_TERMINATE: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
_LIKE: Final = """
SELECT pg_encoding_to_char(encoding), datlocprovider, datcollate, datctype, to_jsonb(pg_database) ->> 'datlocale',
    to_jsonb(pg_database) ->> 'daticulocale', datdba::regrole::text, pg_has_role(datdba, 'USAGE')
FROM pg_database WHERE datname = %s
"""
_SETTINGS: Final = """
SELECT rolname, split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)
FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase LEFT JOIN pg_roles ON pg_roles.oid = setrole,
    unnest(setconfig) AS setting
WHERE datname = %s
"""
_GRANTS: Final = """
SELECT CASE WHEN grantee = 0 THEN NULL ELSE grantee::regrole::text END, privilege_type, is_grantable
FROM pg_database, aclexplode(datacl) WHERE datname = %s AND grantee <> datdba
"""
_HAS_GRANTS: Final = "SELECT datacl IS NOT NULL FROM pg_database WHERE datname = %s"


class ScratchDatabase:
    """A database of its own beside the one called *name*; *conninfo* leads to it."""

    def __init__(self, keeper: AsyncConnection[Any], conninfo: Mapping[str, Any], *, name: str, scratch: str) -> None:
        self._keeper = keeper
        self._name = name
        self._scratch = scratch
        self.conninfo: dict[str, Any] = {**conninfo, "dbname": scratch}
        self.is_in_place = False

    async def take_place(self, *, at: datetime) -> str | None:
        """Put this database in the place of the one in use, in one transaction; return what that is called from now on.

        Connections to it are ended; new ones wait for the new database. None is returned where there was none.
        """
        exists = await _exists(self._keeper, self._name)
        kept = _name(self._name, f"_before_restore_{at:%Y%m%d%H%M%S}") if exists else None
        # Renaming waits up to five seconds, holding off new connections, until the present ones are gone.
        others = await _other_connection(self._keeper, self.conninfo)
        renaming = asyncio.create_task(self._rename(kept))
        try:
            while not renaming.done():
                await others.execute(_TERMINATE, [self._name])
                await asyncio.wait([renaming], timeout=_PAUSE)
            await renaming
        finally:
            if not renaming.done():
                renaming.cancel()
                await asyncio.wait([renaming])
            await others.close()
        return kept

    async def _rename(self, kept: str | None) -> None:
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        async with self._keeper.transaction():
            if kept is not None:
                await self._keeper.execute(rename.format(sql.Identifier(self._name), sql.Identifier(kept)))
            await self._keeper.execute(rename.format(sql.Identifier(self._scratch), sql.Identifier(self._name)))
        self.is_in_place = True

    async def take_over(self) -> None:
        """Give this database the settings (ALTER DATABASE ... SET) and grants of the one in use; dumps hold neither."""
        keeper, scratch = self._keeper, sql.Identifier(self._scratch)
        for role, name, value in await _rows(keeper, _SETTINGS, self._name):
            # By way of the session, since lists such as search_path are not written as one literal.
            await keeper.execute("SELECT set_config(%s, %s, false)", [name, value])
            target = sql.SQL("DATABASE {}").format(scratch)
            if role is not None:
                target = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), scratch)
            await keeper.execute(
                sql.SQL("ALTER {} SET {} FROM CURRENT").format(target, sql.Identifier(*name.split(".")))
            )
        await keeper.execute("RESET ALL")
        if await _rows(keeper, _HAS_GRANTS, self._name) == [(True,)]:
            await keeper.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(scratch))
        for grantee, privilege, is_grantable in await _rows(keeper, _GRANTS, self._name):
            await keeper.execute(
                sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                    sql.SQL(privilege),
                    scratch,
                    # Quoted by the server where it needs quotes.
                    sql.SQL(grantee or "PUBLIC"),
                    sql.SQL(" WITH GRANT OPTION" if is_grantable else ""),
                )
            )


@asynccontextmanager
async def scratch_database(conninfo: Mapping[str, Any], server: str) -> AsyncGenerator[ScratchDatabase]:
    """Make a database beside that of *conninfo*, with its encoding and locale; drop it in the end unless it took its place.

    One at a time on a server: those that a killed process left are dropped first. Raises SchemaError when the role may
    not create databases, with what to do, and StoreError when another restore is under way.
    """
    name = str(conninfo["dbname"])
    with faults_translated(server):
        keeper = await _keeper_connection(conninfo)
        try:
            await _check_rights(keeper, name, server)
            async with advisory_lock(keeper, _LOCK) as is_ours:
                if not is_ours:
                    raise StoreError(f"another restore or check is under way on {server}; wait until it ends")
                for (leftover,) in await _rows(keeper, _LEFTOVERS):
                    if leftover == _name(name, leftover[-_MARK_LENGTH:]):
                        await _drop(keeper, leftover)
                scratch = _name(name, f"_restoring_{secrets.token_hex(4)}")
                database = ScratchDatabase(keeper, conninfo, name=name, scratch=scratch)
                try:
                    await _create(keeper, scratch, like=name)
                    await database.take_over()
                    yield database
                finally:
                    if not database.is_in_place:
                        with anyio.CancelScope(shield=True), suppress(psycopg.Error):
                            await _dropped_anyway(keeper, scratch, conninfo)
        finally:
            await keeper.close()


async def _keeper_connection(conninfo: Mapping[str, Any]) -> AsyncConnection[Any]:
    """Connect to another database than the one in use, which can then be renamed."""
    other = "template1" if conninfo["dbname"] == "postgres" else "postgres"
    return await connect_dedicated({**conninfo, "dbname": other})


async def _other_connection(keeper: AsyncConnection[Any], conninfo: Mapping[str, Any]) -> AsyncConnection[Any]:
    return await connect_dedicated({**conninfo, "dbname": keeper.info.dbname})


async def _check_rights(keeper: AsyncConnection[Any], name: str, server: str) -> None:
    ((role, may_create),) = await _rows(keeper, _MAY_CREATE)
    if not may_create:
        raise SchemaError(
            f"the role {role} may not create databases on {server}, and a backup is restored into one of its own first; "
            f"name a superuser, or the administrator's role of a managed server, by POSTGRES_USER or DATABASE_URL; where {role} "
            f"owns the database and may create the extension, ALTER ROLE {role} CREATEDB is enough"
        )
    like = await _rows(keeper, _LIKE, name)
    if like and not like[0][7]:
        raise SchemaError(
            f"the database {name} on {server} belongs to {like[0][6]}, and only its owner can rename it; "
            f"restore as {like[0][6]}"
        )


async def _create(keeper: AsyncConnection[Any], scratch: str, *, like: str) -> None:
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(scratch))
    rows = await _rows(keeper, _LIKE, like)
    if rows:
        encoding, provider, collate, ctype, locale, icu_locale, owner, _ = rows[0]
        options: list[tuple[LiteralString, str]] = [
            ("ENCODING", encoding),
            ("LC_COLLATE", collate),
            ("LC_CTYPE", ctype),
        ]
        options.append(("LOCALE_PROVIDER", {"c": "libc", "i": "icu", "b": "builtin"}[provider]))
        named = locale or icu_locale
        if named is not None:
            options.append(("ICU_LOCALE" if provider == "i" else "BUILTIN_LOCALE", named))
        statement += sql.SQL(" OWNER ") + sql.SQL(owner)
        for option, value in options:
            statement += sql.SQL(" {} {}").format(sql.SQL(option), sql.Literal(value))
    await keeper.execute(statement)


async def _dropped_anyway(keeper: AsyncConnection[Any], scratch: str, conninfo: Mapping[str, Any]) -> None:
    """Drop *scratch*, on a new connection where the present one was lost or broken off."""
    if not keeper.closed and keeper.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
        await _drop(keeper, scratch)
        return
    async with await _keeper_connection(conninfo) as connection:
        await _drop(connection, scratch)


async def _drop(keeper: AsyncConnection[Any], name: str) -> None:
    await keeper.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


async def _exists(keeper: AsyncConnection[Any], name: str) -> bool:
    return bool(await _rows(keeper, "SELECT FROM pg_database WHERE datname = %s", name))


async def _rows(connection: AsyncConnection[Any], statement: Any, *values: object) -> list[Any]:
    cursor = await connection.execute(statement, values)
    return await cursor.fetchall()


def _name(name: str, suffix: str) -> str:
    """Return *name* with *suffix*, the name cut where both are longer than PostgreSQL keeps."""
    room = _LONGEST_NAME - len(suffix)
    return name.encode()[:room].decode(errors="ignore") + suffix
