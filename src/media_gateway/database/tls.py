"""TLS with the server: why a certificate is not believed, and what to do about each way in which TLS fails.

libpq says "certificate verify failed" of an unknown authority and of an expired certificate alike, and worse of an
authority that bears another's name. So the handshake is made once more, without a login, to hear the reason.
"""

import re
import socket
import ssl
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import psycopg
from psycopg.pq import Conninfo

from media_gateway.errors import TlsError

VERIFY_FAILED: Final = "certificate verify failed"

_SSL_REQUEST: Final = struct.pack(">ii", 8, 80877103)
"""The message that asks for TLS (PostgreSQL manual, "Message Formats", SSLRequest)."""
_SECONDS: Final = 2.0
_ROOT_DEFAULT: Final = Path(".postgresql", "root.crt")

_AUTHORITIES: Final = (
    "unable to get local issuer certificate",
    "unable to get issuer certificate",
    "self-signed certificate",
    "self signed certificate",
    "unable to verify the first certificate",
    # Of another authority of the same name, such as one that was made anew.
    "certificate signature failure",
)
_PREFIX: Final = re.compile(r"^.*, port \d+ failed: (?:FATAL: +)?")
"""What libpq and the driver write before a reason."""
_ADVICE: Final = (
    (("server does not support SSL",), "speaks no TLS", "turn it on there (ssl = on), or check host and port"),
    (
        ("does not match host name", "host name must be specified"),
        "has a certificate for another host",
        "connect by a name that the certificate has, or have one made for this name",
    ),
    (
        ("certificate has expired",),
        "has a certificate that has expired",
        "have it renewed there; should it not have, check this machine's clock",
    ),
    (("certificate is not yet valid",), "has a certificate that is not valid yet", "check this machine's clock"),
    (
        _AUTHORITIES,
        "has a certificate of an authority that is not trusted here",
        "set POSTGRES_SSLROOTCERT to the file of the authority that signed it",
    ),
    (
        (VERIFY_FAILED,),
        "has a certificate that cannot be verified",
        "check POSTGRES_SSLROOTCERT and the server's certificate",
    ),
    (
        ("root certificate file", "root.crt"),
        "cannot be verified without an authority to trust",
        "set POSTGRES_SSLROOTCERT to the file of the authority that signed its certificate, or to system",
    ),
    (
        ("requires a valid client certificate", "certificate required", "unknown ca", "bad certificate"),
        "wants a client's certificate that it trusts",
        "set POSTGRES_SSLCERT and POSTGRES_SSLKEY to one and its key",
    ),
    (
        (
            "private key file",
            "certificate file",
            "could not load private key",
            "certificate does not match private key",
        ),
        "cannot be shown a client's certificate",
        "check POSTGRES_SSLCERT and POSTGRES_SSLKEY",
    ),
    (
        # Not "SSL error" alone, which is also how a connection that is cut off ends.
        (
            " alert ",
            "unsupported protocol",
            "wrong version number",
            "no protocols",
            "sslmode",
            "sslrootcert",
            "SSL context",
        ),
        "cannot be talked to by TLS",
        "check POSTGRES_SSLMODE and the files that go with it",
    ),
)


def tls_fault(text: str, server: str) -> TlsError | None:
    """Return the error of a connection to *server* that TLS kept from being made, or None where libpq's *text* is not of it."""
    lines = [line.strip() for line in text.splitlines()]
    for marks, what, advice in _ADVICE:
        for line in reversed(lines):
            if any(mark in line for mark in marks):
                reason = _PREFIX.sub("", line)
                return TlsError(f"{server} {what}: {reason}; {advice}", server=server, reason=reason)
    return None


async def with_reason(error: psycopg.OperationalError, conninfo: Mapping[str, Any]) -> psycopg.OperationalError:
    """Return *error*, met in connecting by *conninfo*, with the reason why the server's certificate is not believed.

    Any other error comes back as it is, and so does one whose reason cannot be heard: of several hosts, or of a server
    that has gone meanwhile.
    """
    if "SSL error" not in str(error):
        return error
    try:
        reason = await anyio.to_thread.run_sync(_verification_failure, _complete(conninfo))
    except OSError:
        return error
    return error if reason is None else psycopg.OperationalError(f"{VERIFY_FAILED}: {reason}")


def _complete(conninfo: Mapping[str, Any]) -> dict[str, str]:
    """Return *conninfo* with libpq's own defaults, among them those of its environment variables."""
    defaults = {option.keyword.decode(): option.val.decode() for option in Conninfo.get_defaults() if option.val}
    return defaults | {name: str(value) for name, value in conninfo.items() if value not in {None, ""}}


def _verification_failure(conninfo: Mapping[str, str]) -> str | None:
    """Shake hands as libpq would and return why the certificate is not believed; None where it is. Raises OSError."""
    host, address = conninfo.get("host"), conninfo.get("hostaddr") or conninfo.get("host")
    if host is None or address is None or "," in address or address.startswith(("/", "@")):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # libpq has found the chain at fault, not the name.
    context.check_hostname = False
    root = conninfo.get("sslrootcert") or str(Path.home() / _ROOT_DEFAULT)
    if root == "system":
        context.load_default_certs()
    else:
        context.load_verify_locations(root)
    with socket.create_connection((address, int(conninfo.get("port", "5432"))), timeout=_SECONDS) as plain:
        plain.sendall(_SSL_REQUEST)
        if plain.recv(1) != b"S":
            return None
        try:
            context.wrap_socket(plain, server_hostname=host).close()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
    return None
