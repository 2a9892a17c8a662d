"""The way in over TCP, which an operator may open: one address of this machine and a password."""

import secrets
import socket
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from media_gateway.database.server import files as server_files
from media_gateway.database.server.folder import ServerFolder

ADDRESS = "127.0.0.1"


def check_free(port: int, folder: ServerFolder) -> None:
    """Raise ServerStartError when *port* cannot be listened on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((ADDRESS, port))
            trial.listen()
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "a port is a number up to 65535"
            raise folder.error(
                f"cannot listen on port {port} of {ADDRESS}: {reason}; free that port or choose another"
            ) from error


def set_password(conninfo: dict[str, Any], file: Path) -> None:
    """Let the role of *conninfo* in by the password in *file*, which is generated when there is none.

    The server is sent the SCRAM verifier, so that the password stands in no log. Raises psycopg.Error.
    """
    password = (server_files.read(file) or "").strip()
    if not password:
        password = secrets.token_urlsafe(24)
        server_files.write(file, password + "\n", 0o600)
    role = conninfo["user"]
    with psycopg.connect(**conninfo, autocommit=True) as connection:
        verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
        statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(role), sql.Literal(verifier.decode())))
