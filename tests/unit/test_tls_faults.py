"""Each way in which TLS fails has its sentence; what is not of TLS is left to others."""

import psycopg
import pytest

from media_gateway.database.faults import unavailable
from media_gateway.database.tls import tls_fault
from media_gateway.errors import AuthenticationError, StoreUnavailableError, TlsError

SERVER = "shop@db.example.org:5432/films"
WHERE = 'connection to server at "db.example.org" (192.0.2.1), port 5432 failed: '


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{WHERE}server does not support SSL, but SSL was required", "speaks no TLS"),
        (
            f'{WHERE}server certificate for "other.example.org" does not match host name "db.example.org"',
            'for another host: server certificate for "other.example.org" does not match host name "db.example.org";',
        ),
        ("certificate verify failed: certificate has expired", "a certificate that has expired"),
        ("certificate verify failed: certificate is not yet valid", "check this machine's clock"),
        ("certificate verify failed: self-signed certificate in certificate chain", "set POSTGRES_SSLROOTCERT"),
        ("certificate verify failed: unable to get local issuer certificate", "an authority that is not trusted"),
        (f"{WHERE}SSL error: certificate verify failed", "cannot be verified: SSL error"),
        (
            f'{WHERE}root certificate file "/home/a/.postgresql/root.crt" does not exist\nEither provide the file, use ...',
            "without an authority to trust",
        ),
        (f"{WHERE}FATAL:  connection requires a valid client certificate", "set POSTGRES_SSLCERT and POSTGRES_SSLKEY"),
        (f"{WHERE}SSL error: tlsv1 alert unknown ca", "set POSTGRES_SSLCERT and POSTGRES_SSLKEY"),
        (
            f'{WHERE}private key file "a.key" has group or world access; file must have permissions u=rw (0600) or less',
            "check POSTGRES_SSLCERT and POSTGRES_SSLKEY",
        ),
        ('invalid sslmode value: "verify"', "check POSTGRES_SSLMODE"),
        (
            f"{WHERE}SSL error: certificate verify failed\n{WHERE}Connection refused\n\tIs the server running there?",
            "cannot be verified: SSL error: certificate verify failed;",
        ),
    ],
)
def test_a_failure_of_tls_is_one_sentence_with_advice(text: str, said: str):
    error = unavailable(psycopg.OperationalError(text), SERVER)
    assert isinstance(error, TlsError)
    assert said in str(error)
    assert str(error).startswith(f"{SERVER} ")
    assert "\n" not in str(error)
    assert error.server == SERVER
    assert error.reason in text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"{WHERE}Connection refused", StoreUnavailableError),
        ("SSL connection has been closed unexpectedly", StoreUnavailableError),
        ("consuming input failed: SSL SYSCALL error: EOF detected", StoreUnavailableError),
        ("SSL error: unexpected eof while reading", StoreUnavailableError),
        (f'{WHERE}FATAL:  password authentication failed for user "shop"', AuthenticationError),
        (f'{WHERE}FATAL:  no pg_hba.conf entry for host "192.0.2.7", user "shop", no encryption', AuthenticationError),
    ],
)
def test_what_is_not_of_tls_is_said_otherwise(text: str, kind: type[StoreUnavailableError]):
    assert tls_fault(text, SERVER) is None
    assert type(unavailable(psycopg.OperationalError(text), SERVER)) is kind


def test_a_login_that_tls_alone_would_be_given_is_told_of_it():
    error = unavailable(psycopg.OperationalError('FATAL:  no pg_hba.conf entry for user "shop", no encryption'), SERVER)
    assert "POSTGRES_SSLMODE" in str(error)
