"""TLS for tests: an authority that issues certificates, and a proxy that speaks TLS for a server that has none."""

import asyncio
import contextlib
import ipaddress
import ssl
import struct
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.postgres import TestServer

DAY: Final = timedelta(days=1)
_REQUEST: Final = struct.Struct(">ii")
_SSL, _GSS = 80877103, 80877104


class Authority:
    """Issues certificates in *folder*; its own is `root`."""

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key, days=1).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.root = folder / "root.crt"
        self.root.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def issue(self, name: str, *, days: float = 1) -> tuple[Path, Path]:
        """Return the files of a certificate for the host or role *name*, and of its key; it expires in so many *days*."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        try:
            host: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            host = x509.DNSName(name)
        builder = self._builder(subject, key, days=days).add_extension(
            x509.SubjectAlternativeName([host]), critical=False
        )
        certificate, secret = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        secret.touch(mode=0o600)
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, secret

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: float) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * DAY)
            .not_valid_after(now + days * DAY)
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class TlsProxy:
    """Listens on 127.0.0.1, speaks TLS as PostgreSQL does, and hands what it hears to the Unix socket *target*."""

    def __init__(self, target: Path, certificate: Path, key: Path) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.handshakes = 0

    def stop(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length, code = _REQUEST.unpack(await reader.readexactly(8))
        while code == _GSS:
            writer.write(b"N")
            length, code = _REQUEST.unpack(await reader.readexactly(8))
        if (length, code) != (8, _SSL):
            return  # without TLS nobody is let through
        writer.write(b"S")
        await writer.drain()
        await writer.start_tls(self._context)
        self.handshakes += 1
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._target)
        try:
            pumps = [
                asyncio.create_task(_pump(reader, inner_writer)),
                asyncio.create_task(_pump(inner_reader, writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            inner_writer.transport.abort()


class TlsDoor:
    """The TLS way to *server* for whoever trusts *authority*; its certificate is for *host* and expires in *days*."""

    def __init__(self, server: TestServer, authority: Authority, *, host: str = "localhost", days: float = 1) -> None:
        self.authority = authority
        inner = server.conninfo()
        self._proxy = TlsProxy(
            Path(inner["host"], f".s.PGSQL.{inner.get('port', 5432)}"), *authority.issue(host, days=days)
        )

    def conninfo(self, **parameters: Any) -> dict[str, Any]:
        """Return what of libpq's parameters leads this way."""
        return {
            "host": "localhost",
            "hostaddr": "127.0.0.1",
            "port": self._proxy.port,
            "sslmode": "verify-full",
            "sslrootcert": str(self.authority.root),
            **parameters,
        }

    def stop(self) -> None:
        self._proxy.stop()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
