"""The URLs of embedding services: checked before use, and shown by their host alone."""

from typing import Final
from urllib.parse import urlsplit

from media_gateway.errors import SettingsError, shown

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def checked_url(url: str, *, field: str) -> str:
    """Return *url* without blanks around it and without a slash at its end.

    Raises SettingsError, naming the setting *field*, when it is not an http or https URL, or holds a password: that
    would show in logs, and belongs into a setting of its own.
    """
    stripped = url.strip().rstrip("/")
    try:
        parts = urlsplit(stripped)
        usable = parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
        parts = urlsplit("")
    if "@" in parts.netloc or "@" in stripped.split("?")[0]:
        raise SettingsError(
            f"{field} holds a user or password (value hidden); leave it out, and give the key in a setting of its own",
            field=field,
            given="(hidden)",
            expected="https://HOST/PATH",
        )
    if not usable:
        raise SettingsError(
            f"{field} is {shown(url)}; expected a URL such as https://HOST/v1", field=field, given=url, expected="a URL"
        )
    return stripped


def checked_urls(urls: str, *, field: str) -> list[str]:
    """Return the URLs of *urls*, which commas part, each one checked; none of them twice."""
    return list(dict.fromkeys(checked_url(url, field=field) for url in urls.split(",") if url.strip()))


def host_of(url: str) -> str:
    """Return the host of a checked *url*, with its port where that is not the scheme's own."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{parts.port}"
