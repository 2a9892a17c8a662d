"""What a dump needs of the server and the role that restore it: extensions."""

import re
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql

from media_gateway.errors import ExtensionMissingError, SchemaError

_EXTENSION: Final = re.compile(r"^\d+; \d+ \d+ EXTENSION - (\S+)", re.MULTILINE)
_COMMENT: Final = " COMMENT - EXTENSION "
OPTIONAL: Final = frozenset({"pg_prewarm", "pg_stat_statements", "pg_buffercache"})
"""Extensions that hold nothing: the collection works without them, and an operator makes them again."""


async def listing_without(
    connection: AsyncConnection[Any], entries: str, *, needed: str, path: Path, server: str
) -> tuple[str, list[str]]:
    """Return pg_restore's list *entries* of the dump at *path* without what the role of *connection* cannot make.

    That are comments on extensions, and those of the optional extensions that are returned beside it. Raises SchemaError
    when the role may not create the extension *needed*, and ExtensionMissingError when *server* lacks it.
    """
    found = [name for name in _EXTENSION.findall(entries) if name == needed or name in OPTIONAL]
    refused = {name: error for name in found if (error := await _refusal(connection, name)) is not None}
    if needed in refused:
        raise await _explained(connection, refused[needed], needed, path=path, server=server) from refused[needed]
    # Where a superuser made the extension for this role, its comment is not the role's to set.
    unwanted = [_COMMENT, *(f" EXTENSION - {name} " for name in refused)]
    kept = [line for line in entries.splitlines() if not any(text in f"{line} " for text in unwanted)]
    return "\n".join(kept), sorted(refused)


async def _refusal(connection: AsyncConnection[Any], name: str) -> psycopg.Error | None:
    """Return why the extension *name* cannot be created here, None where it can or is there; it is not left behind."""
    try:
        async with connection.transaction(force_rollback=True):
            await connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        if connection.broken or connection.closed:
            raise
        return error
    return None


async def _explained(
    connection: AsyncConnection[Any], error: psycopg.Error, needed: str, *, path: Path, server: str
) -> Exception:
    ((role,),) = await (await connection.execute("SELECT current_user::text")).fetchall()
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        told = SchemaError(
            f"{path} was not restored, and nothing was changed: on {server} the role {role} may not create the extension "
            f"{needed} in the new database that a backup is restored into first; name a superuser, or the administrator's "
            "role of a managed server, by POSTGRES_USER or DATABASE_URL"
        )
    else:
        told = ExtensionMissingError(
            f"{path} was not restored, and nothing was changed: {server} cannot create the extension {needed} "
            f"({error.diag.message_primary or error}); install it there",
            extension=needed,
        )
    return told
