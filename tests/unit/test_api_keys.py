"""API keys: what the file holds, who is recognised, and what a change in the file does."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from media_gateway.errors import InvalidInputError, KeysFileError, SettingsError
from media_gateway.server.gates import check_listening
from media_gateway.server.hosts import is_loopback
from media_gateway.server.keys import KeyFile, KeyRing, Scope
from media_gateway.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "data" / "keys.json")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_key_is_found_by_its_text_and_stands_nowhere(file: KeyFile):
    made, text = file.create("web", Scope.write, rate=5)
    other, other_text = file.create("importer", Scope.read)
    ring = KeyRing(file.path)
    assert ring.find(text) == made
    assert ring.find(other_text) == other
    assert (made.name, made.scope, made.rate) == ("web", Scope.write, 5)
    content = file.path.read_text()
    assert text not in content
    assert text.split("_", 2)[2] not in content
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert len(text) > 50


def test_no_other_text_is_a_key(file: KeyFile):
    made, text = file.create("web", Scope.admin)
    _, other = file.create("importer", Scope.read)
    ring = KeyRing(file.path)
    mixed = "_".join(["mg", made.key_id, other.split("_", 2)[2]])
    for wrong in (
        "",
        "mg",
        "mg_",
        text[:-1],
        text + "a",
        text.upper(),
        mixed,
        made.digest,
        f"mg_{made.key_id}_",
        "é" * 60,
    ):
        assert ring.find(wrong) is None, wrong


def test_what_is_made_and_revoked_counts_after_half_a_second(file: KeyFile, clock: Clock):
    ring = KeyRing(file.path, clock=clock)
    assert ring.find("mg_1_2") is None
    _, text = file.create("web", Scope.read)
    assert ring.find(text) is None
    clock.now += 0.6
    assert ring.find(text) is not None
    file.revoke("web")
    assert ring.find(text) is not None
    clock.now += 0.6
    assert ring.find(text) is None


def test_a_key_ends_when_it_expires(file: KeyFile):
    made, text = file.create("web", Scope.read, expires=datetime.now(UTC) + timedelta(hours=1))
    assert KeyRing(file.path).find(text) is not None
    assert made.expires is not None
    assert not made.is_valid_at(made.expires)
    content = file.path.read_text().replace(str(made.expires.year), str(made.expires.year - 1))
    file.path.write_text(content)
    assert KeyRing(file.path).find(text) is None
    assert KeyRing(file.path).valid() == []
    with pytest.raises(InvalidInputError, match=r"expires is .*; expected a moment in the future"):
        file.create("late", Scope.read, expires=datetime.now(UTC) - timedelta(seconds=1))


def test_names_are_used_once_and_revoked_by_name_or_id(file: KeyFile):
    made, _ = file.create("web", Scope.read)
    with pytest.raises(InvalidInputError, match="name is 'web'; expected a name that no key has"):
        file.create("web", Scope.admin)
    for name in ("", " ", "a\nb", "x" * 65):
        with pytest.raises(InvalidInputError, match="printable"):
            file.create(name, Scope.read)
    assert file.revoke(made.key_id) == made
    assert file.read() == []
    with pytest.raises(InvalidInputError, match="name is 'web'; expected the name or id of a key"):
        file.revoke("web")


def test_a_file_that_cannot_be_trusted_lets_nobody_in(file: KeyFile, clock: Clock):
    _, text = file.create("web", Scope.read)
    ring = KeyRing(file.path, clock=clock)
    good = file.path.read_bytes()
    for spoiled in (b"", b"{", b"[]", b"null", b'{"version": 2, "keys": []}', b'{"version": 1, "keys": [{}]}'):
        assert ring.find(text) is not None
        file.path.write_bytes(spoiled)
        clock.now += 1
        with pytest.raises(KeysFileError, match="is damaged"):
            ring.find(text)
        with pytest.raises(KeysFileError):
            file.create("more", Scope.read)
        file.path.write_bytes(good)
        clock.now += 1
    file.path.chmod(0o620)
    clock.now += 1
    with pytest.raises(KeysFileError, match="can be written by other users; run: chmod 600"):
        ring.find(text)
    file.path.chmod(0o600)
    assert ring.find(text) is not None
    file.path.unlink()
    clock.now += 1
    assert ring.find(text) is None


def test_no_address_that_others_reach_is_listened_on_without_a_key(tmp_path: Path, file: KeyFile):
    def settings(host: str) -> Settings:
        return Settings.read(http_host=host, keys_path=file.path)

    for host in ("127.0.0.1", "127.1.2.3", "localhost", "::1"):
        assert is_loopback(host)
        check_listening(settings(host))
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.com", ""):
        assert not is_loopback(host)
    with pytest.raises(SettingsError, match=r"RUVECTOR_HTTP_HOST is 0\.0\.0\.0, where others can reach .* keys create"):
        check_listening(settings("0.0.0.0"))
    file.create("web", Scope.read)
    check_listening(settings("0.0.0.0"))
