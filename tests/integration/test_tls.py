"""TLS to the server: what is trusted, and what is said of what is not."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from media_gateway.database.connections import Endpoint
from media_gateway.database.faults import faults_translated
from media_gateway.database.pool import Pool
from media_gateway.database.schema import connect_dedicated
from media_gateway.errors import AuthenticationError, StoreUnavailableError, TlsError
from tests.acceptance.command import Command, assert_refused
from tests.debian_postgres import DebianServer
from tests.postgres import TestServer
from tests.tls import Authority, TlsDoor

pytestmark = pytest.mark.anyio


async def connected(conninfo: dict[str, Any]) -> bool:
    """Connect, and return whether by TLS."""
    with faults_translated("the server"):
        async with await connect_dedicated(conninfo) as connection:
            await connection.execute("SELECT 1")
            return connection.pgconn.ssl_in_use


Opens = Callable[..., TlsDoor]


@pytest.fixture
def opens(postgres: TestServer, tmp_path: Path) -> Iterator[Opens]:
    made: list[TlsDoor] = []

    def door(**options: Any) -> TlsDoor:
        authority = Authority(tmp_path / str(len(made)), options.pop("name", "Test authority"))
        made.append(TlsDoor(postgres, authority, **options))
        return made[-1]

    yield door
    for one in made:
        one.stop()


async def test_a_certificate_of_an_authority_that_is_trusted_is_believed(tls: TlsDoor, postgres: TestServer):
    assert await connected({**postgres.conninfo(), **tls.conninfo()})


async def test_each_reason_not_to_believe_a_certificate_has_its_sentence(
    opens: Opens, postgres: TestServer, tmp_path: Path
):
    good, other, old = opens(), opens(host="other.example.org"), opens(days=-1, name="Another authority")
    for door, options, said in (
        (good, {"sslrootcert": str(old.authority.root)}, "an authority that is not trusted here: certificate verify"),
        # One of the same name, as when an authority was made anew.
        (good, {"sslrootcert": str(other.authority.root)}, "an authority that is not trusted here: certificate verify"),
        (good, {"sslrootcert": str(tmp_path / "none.crt")}, "without an authority to trust"),
        (other, {}, 'for another host: server certificate for "other.example.org" does not match'),
        (
            old,
            {},
            "a certificate that has expired: certificate verify failed: certificate has expired; have it renewed",
        ),
    ):
        with pytest.raises(TlsError, match=said) as caught:
            await connected({**postgres.conninfo(), **door.conninfo(**options)})
        assert str(caught.value).startswith("the server has ") or "cannot be verified" in str(caught.value)
        assert caught.value.server == "the server"
    # Without verification all of them are taken, which is why verify-full is the mode to use.
    assert await connected({**postgres.conninfo(), **old.conninfo(sslmode="require", sslrootcert="")})


async def test_a_pool_says_it_too(opens: Opens, postgres: TestServer):
    door = opens(days=-1)
    endpoint = Endpoint(conninfo={**postgres.conninfo(), **door.conninfo()}, server="the server")
    async with Pool(endpoint, min_size=1) as pool:
        with pytest.raises(TlsError, match="has expired"):
            await pool.fetch("SELECT 1")


async def test_a_server_cut_off_behind_tls_is_away_and_not_distrusted(opens: Opens, postgres: TestServer):
    door = opens()
    with pytest.raises(StoreUnavailableError) as caught, faults_translated("the server"):
        async with await connect_dedicated({**postgres.conninfo(), **door.conninfo()}) as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert type(caught.value) is StoreUnavailableError


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianServer]:
    server = DebianServer(tmp_path_factory.mktemp("debian"), _free_port())
    yield server
    server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.full
async def test_debians_server_is_believed_with_channel_binding(debian: DebianServer, authority: Authority):
    debian.use(*authority.issue("localhost"))
    verified = {"sslmode": "verify-full", "sslrootcert": str(authority.root)}
    assert await connected(debian.conninfo(**verified, channel_binding="require"))


@pytest.mark.full
async def test_the_handshake_with_debians_server_fails_in_plain_words(
    debian: DebianServer, authority: Authority, tmp_path: Path
):
    verified = {"sslmode": "verify-full", "sslrootcert": str(authority.root)}
    debian.use(*authority.issue("localhost", days=-1))
    with pytest.raises(TlsError, match="has a certificate that has expired"):
        await connected(debian.conninfo(**verified))
    debian.use(*authority.issue("other.example.org"))
    with pytest.raises(TlsError, match="has a certificate for another host"):
        await connected(debian.conninfo(**verified))
    assert await connected(debian.conninfo(**{**verified, "sslmode": "verify-ca"}))
    debian.use(*Authority(tmp_path, "Another authority").issue("localhost"))
    with pytest.raises(TlsError, match="an authority that is not trusted here"):
        await connected(debian.conninfo(**verified))
    debian.use(None)
    with pytest.raises(TlsError, match=r"speaks no TLS: .*; turn it on there \(ssl = on\)"):
        await connected(debian.conninfo(**verified))
    # What needs TLS by the server's own rules is refused without it, with advice.
    with pytest.raises(
        AuthenticationError, match="no pg_hba.conf entry .*; where it lets in TLS alone, set POSTGRES_SSLMODE"
    ):
        await connected(debian.conninfo("certified"))


@pytest.mark.full
async def test_a_client_shows_a_certificate_of_its_own(debian: DebianServer, authority: Authority, tmp_path: Path):
    debian.use(*authority.issue("localhost"), authority.root)
    verified = {"sslmode": "verify-full", "sslrootcert": str(authority.root)}
    with pytest.raises(TlsError, match="wants a client's certificate .* set POSTGRES_SSLCERT and POSTGRES_SSLKEY"):
        await connected(debian.conninfo("certified", **verified))
    certificate, key = authority.issue("certified")
    mine = {**verified, "sslcert": str(certificate), "sslkey": str(key)}
    assert await connected(debian.conninfo("certified", **mine))
    other, other_key = authority.issue("somebody")
    with pytest.raises(AuthenticationError, match="certificate authentication failed"):
        await connected(debian.conninfo("certified", **verified, sslcert=str(other), sslkey=str(other_key)))
    stranger = Authority(tmp_path, "Another authority").issue("certified")
    with pytest.raises(TlsError, match="wants a client's certificate that it trusts"):
        await connected(debian.conninfo("certified", **verified, sslcert=str(stranger[0]), sslkey=str(stranger[1])))
    key.chmod(0o644)
    with pytest.raises(TlsError, match="cannot be shown a client's certificate: private key file"):
        await connected(debian.conninfo("certified", **mine))
    key.chmod(0o600)


@pytest.mark.full
def test_the_command_connects_by_the_settings(debian: DebianServer, authority: Authority, tmp_path: Path):
    debian.use(*authority.issue("localhost"))
    given = debian.conninfo()
    command = Command(
        folder=tmp_path,
        variables={
            "POSTGRES_HOST": "localhost",
            "POSTGRES_PORT": str(given["port"]),
            "POSTGRES_DB": "postgres",
            "POSTGRES_USER": "strict",
            "POSTGRES_PASSWORD": given["password"],
            "POSTGRES_SSLMODE": "verify-full",
            "POSTGRES_SSLROOTCERT": str(authority.root),
        },
    )
    facts = command.inside("db", "status", "--json").json()
    assert int(facts["version"].partition(".")[0]) >= 15
    assert "sslmode=verify-full" in command.inside("db", "url").out
    refused = command.inside("db", "status", POSTGRES_SSLROOTCERT=str(Authority(tmp_path / "b").root))
    assert_refused(refused, "an authority that is not trusted here", "set POSTGRES_SSLROOTCERT")
    # An address that leaves TLS open does not drop what was set.
    url = f"postgresql://strict:wrong@localhost:{given['port']}/postgres"
    refused = command.inside("db", "status", DATABASE_URL=url, POSTGRES_SSLROOTCERT=str(tmp_path / "b" / "root.crt"))
    assert_refused(refused, "an authority that is not trusted here")
