"""Connection parameters written as other programs take them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from media_gateway.errors import SettingsError

_URL_SCHEMES = ("postgresql://", "postgres://")


def url_of(conninfo: Mapping[str, Any]) -> str:
    """Return libpq's parameters as a URL, password included; one that was given as a URL stays as it is.

    Raises SettingsError when a given address cannot be read.
    """
    given = conninfo.get("conninfo")
    if isinstance(given, str) and given.startswith(_URL_SCHEMES):
        _parameters(conninfo)
        return given
    parameters = _parameters(conninfo)
    user, password, database = (parameters.pop(name, None) for name in ("user", "password", "dbname"))
    host, port = parameters.pop("host", None), parameters.pop("port", None)
    login = quote(user or "", safe="") + (f":{quote(password, safe='')}" if password else "")
    if host and not host.startswith("/"):
        place = f"[{host}]" if ":" in host else quote(host, safe="")
        place += f":{port}" if port else ""
    else:
        # A folder of sockets has no place in front of the slash.
        place = ""
        parameters = {name: text for name, text in (("host", host), ("port", port)) if text} | parameters
    query = f"?{urlencode(parameters, quote_via=quote, safe='')}" if parameters else ""
    return f"postgresql://{login}{'@' if login else ''}{place}/{quote(database or '', safe='')}{query}"


def without_password(conninfo: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return libpq's parameters as a connection string that may be seen by others, and the password apart."""
    parameters = _parameters(conninfo)
    password = parameters.pop("password", None)
    return make_conninfo(**parameters), password


def _parameters(conninfo: Mapping[str, Any]) -> dict[str, str]:
    rest = {name: str(value) for name, value in conninfo.items() if name != "conninfo" and value not in (None, "")}
    try:
        given = conninfo_to_dict(str(conninfo.get("conninfo") or ""))
    except psycopg.Error as error:
        reason = str(error).strip()
        raise SettingsError(
            f"DATABASE_URL cannot be read ({reason}); expected postgresql://user:password@host:port/database",
            field="database_url",
            expected="a URL",
        ) from error
    return {name: str(value) for name, value in given.items() if value not in (None, "")} | rest
