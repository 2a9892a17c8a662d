"""From the driver's errors to ours, by SQLSTATE.

A server that refuses a connection sends no SQLSTATE that libpq hands on, so those are told apart by the server's
English text; anything unknown counts as unavailable.
"""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
import psycopg_pool

from media_gateway.database.tls import tls_fault
from media_gateway.errors import (
    AuthenticationError,
    DuplicateKeyError,
    ExtensionMissingError,
    InvalidRequestError,
    InvalidVectorError,
    MediaGatewayError,
    SchemaError,
    StoreError,
    StoreFullError,
    StoreTimeoutError,
    StoreUnavailableError,
    shown,
)

_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "fe_sendauth",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects connection",
    "authentication failed",
    "is not permitted to log in",
)


def is_connection_lost(error: BaseException) -> bool:
    """Whether *error* means that the connection, not the statement, failed; the statement's outcome is then unknown."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = error.sqlstate
    return state is None or state.startswith(("08", "57P"))


def first_line(error: BaseException) -> str:
    """Return what a driver's *error* says in one line: the server's primary message, or libpq's without its hints."""
    diagnosis = getattr(error, "diag", None)
    primary = diagnosis.message_primary if diagnosis is not None else None
    lines = [line.strip() for line in (primary or str(error)).splitlines() if line.strip()]
    # libpq asks "Is the server running on that host ...?" behind the reason.
    reasons = [line for line in lines if not line.endswith("?")]
    return (reasons or lines or [type(error).__name__])[-1]


def unavailable(error: BaseException, server: str) -> StoreUnavailableError:
    """Return the error of a connection to *server* that could not be made or was lost."""
    refused = tls_fault(str(error), server)
    if refused is not None:
        return refused
    reason = first_line(error)
    lowered = str(error).lower()
    if any(refusal in lowered for refusal in _REFUSALS):
        advice = "check POSTGRES_USER and POSTGRES_PASSWORD, or DATABASE_URL"
        if "no encryption" in lowered:
            advice += "; where it lets in TLS alone, set POSTGRES_SSLMODE=verify-full"
        return AuthenticationError(
            f"{server} refuses the login: {reason}; {advice}",
            server=server,
            reason=reason,
        )
    if "does not exist" in lowered:
        return AuthenticationError(
            f"{server} refuses the login: {reason}; create it, or check POSTGRES_DB and POSTGRES_USER",
            server=server,
            reason=reason,
        )
    return StoreUnavailableError(
        f"cannot reach {server}: {reason}; check that PostgreSQL runs there (media-gateway db status)",
        server=server,
        reason=reason,
    )


def translated(error: Exception, server: str) -> MediaGatewayError:
    """Return our error for the driver's *error*, met while talking to *server*."""
    reason = first_line(error)
    if isinstance(error, psycopg_pool.PoolTimeout):
        return StoreTimeoutError(
            f"no connection to {server} became free in time ({reason}); raise POSTGRES_POOL_MAX or send less at once"
        )
    if isinstance(error, psycopg_pool.PoolClosed):
        return StoreUnavailableError("this store is closed; open another one", server=server, reason=reason)
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    if is_connection_lost(error) or state in {"53300", "28000", "28P01", "3D000"}:
        return unavailable(error, server)
    if state is None:
        return StoreError(f"{server} failed: {reason}")
    return _by_state(state, reason, server)


def _by_state(state: str, reason: str, server: str) -> MediaGatewayError:
    match state:
        case "57014":
            return StoreTimeoutError(
                f"{server} stopped a statement that took too long ({reason}); raise POSTGRES_STATEMENT_TIMEOUT"
            )
        case "53100" | "25006" | "58030":
            return StoreFullError(f"{server} cannot write ({reason}); free disk space, or use a server that may write")
        case "23505":
            return DuplicateKeyError(
                f"{server} already has one of these keys ({reason}); upsert replaces records",
                field="key",
                given=None,
                expected="new keys",
            )
        case "23514":
            return InvalidVectorError(
                f"{server} refuses a record ({reason}); vectors need norms between 1e-15 and 1e18",
                field="vector",
                given=None,
                expected="a norm between 1e-15 and 1e18",
            )
        case "42704" | "58P01" if "vector" in reason:
            return ExtensionMissingError(
                f"{server} has no pgvector ({reason}); install pgvector 0.8.4 or newer, then run media-gateway db migrate",
                extension="vector",
            )
        case "0A000" if "extension" in reason:
            return ExtensionMissingError(
                f"{server} has no such extension ({reason}); install pgvector 0.8.4 or newer on the server",
                extension="vector",
            )
        case "42P01" | "42703" | "42883" | "3F000":
            return SchemaError(
                f"{server} lacks a table or column ({reason}); run media-gateway db migrate, or restore a backup "
                "where that says that all is up to date"
            )
        case "42501":
            return SchemaError(
                f"{server} does not allow this to its role ({reason}); do it as the tables' owner, or run "
                "media-gateway db roles as the owner where the role lacks rights that it should have"
            )
        case _ if state.startswith(("22", "54")):
            return InvalidRequestError(
                f"{server} refuses a value: {shown(reason)}", field="value", given=None, expected="a usable value"
            )
        case _:
            return StoreError(f"{server} failed: {reason} (SQLSTATE {state})")


@contextmanager
def faults_translated(server: str) -> Generator[None]:
    """Raise our errors for the driver's within a block that talks to *server*."""
    try:
        yield
    except (psycopg.Error, psycopg_pool.PoolTimeout, psycopg_pool.PoolClosed) as error:
        raise translated(error, server) from error
