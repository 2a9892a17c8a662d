"""API keys in a file: made, revoked, and recognised while the service runs.

A key is 256 random bits; the file holds its SHA-256, which tells nothing about it. Slow hashes protect what people
choose, and would only make each request dear here.
"""

import fcntl
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, Self

import orjson

from media_gateway.errors import InvalidInputError, KeysFileError, shown
from media_gateway.whole_files import replacing

_VERSION: Final = 1
_PREFIX: Final = "mg"
_LONGEST_NAME: Final = 64
_OTHERS_WRITE: Final = 0o022
_LOOKED_AT: Final = 0.5
"""Seconds after which the file is looked at again, so that a revoked key ends within a second."""


class Scope(IntEnum):
    """What a key is good for; each includes the ones before it."""

    read = 1
    write = 2
    admin = 3


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """What the file knows of a key: everything but the key."""

    key_id: str
    """Eight hexadecimal digits, which also stand in the key."""
    name: str
    scope: Scope
    digest: str
    """The SHA-256 of the whole key, in hexadecimal digits."""
    created: datetime
    expires: datetime | None = None
    rate: float | None = None
    """Requests a second, where it is not the setting's; 0 is any number."""

    def is_valid_at(self, moment: datetime) -> bool:
        """Return whether the key may be used at *moment*."""
        return self.expires is None or moment < self.expires

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return the key that `as_json` gave; raises KeyError, TypeError or ValueError for anything else."""
        rate = value.get("rate")
        expires = value.get("expires")
        made = cls(
            key_id=str(value["id"]),
            name=str(value["name"]),
            scope=Scope[value["scope"]],
            digest=str(value["sha256"]),
            created=datetime.fromisoformat(value["created"]),
            expires=None if expires is None else datetime.fromisoformat(expires),
            rate=None if rate is None else float(rate),
        )
        if made.created.tzinfo is None or (made.expires is not None and made.expires.tzinfo is None):
            raise ValueError("a time without its zone")
        return made

    def as_json(self) -> dict[str, Any]:
        """Return the key's line in the file."""
        return {
            "id": self.key_id,
            "name": self.name,
            "scope": self.scope.name,
            "sha256": self.digest,
            "created": self.created.isoformat(timespec="seconds"),
            "expires": self.expires and self.expires.isoformat(timespec="seconds"),
            "rate": self.rate,
        }


class KeyFile:
    """The file at *path*, read and written whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[ApiKey]:
        """Return its keys, none where there is no file.

        Raises KeysFileError when it is damaged, cannot be read, or is open to be written by others.
        """
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}") from error
        if mode & _OTHERS_WRITE:
            raise self._error("can be written by other users; run: chmod 600 " + str(self.path))
        try:
            return _parsed(data)
        except (ValueError, TypeError, KeyError) as error:
            raise self._error("is damaged; restore it, or remove it and create the keys anew") from error

    def create(
        self, name: str, scope: Scope, *, expires: datetime | None = None, rate: float | None = None
    ) -> tuple[ApiKey, str]:
        """Add a key and return it with its text, which nothing can show again.

        Raises InvalidInputError when *name* is in use, empty, too long or not printable, or *expires* has passed.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        if not name.isprintable() or not name.strip() or len(name) > _LONGEST_NAME:
            raise _refused("name", name, f"1 to {_LONGEST_NAME} printable characters")
        if expires is not None and expires <= now:
            raise _refused("expires", expires.isoformat(timespec="seconds"), "a moment in the future")
        key_id = secrets.token_hex(4)
        text = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
        made = ApiKey(
            key_id=key_id, name=name, scope=scope, digest=_digest(text), created=now, expires=expires, rate=rate
        )
        with self._changing() as keys:
            if any(key.name == name for key in keys):
                raise _refused("name", name, "a name that no key has; revoke that one first, or choose another name")
            keys.append(made)
        return made, text

    def revoke(self, name: str) -> ApiKey:
        """Remove the key of that name or id and return it; raises InvalidInputError when there is none."""
        with self._changing() as keys:
            found = [key for key in keys if name in {key.name, key.key_id}]
            if not found:
                raise _refused("name", name, "the name or id of a key; media-gateway keys list has them")
            keys.remove(found[0])
        return found[0]

    @contextmanager
    def _changing(self) -> Generator[list[ApiKey]]:
        """Yield the keys, and write what has become of them; two writers come one after the other."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_name(self.path.name + ".lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                keys = self.read()
                yield keys
                self._write(keys)
        except OSError as error:
            raise self._error(f"cannot be written: {error.strerror}") from error

    def _write(self, keys: Sequence[ApiKey]) -> None:
        content = {"version": _VERSION, "keys": [key.as_json() for key in keys]}
        with replacing(self.path) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))

    def _error(self, what: str) -> KeysFileError:
        return KeysFileError(f"the file of API keys {self.path} {what}", path=str(self.path))


class KeyRing:
    """The keys of a file as a running service knows them; a change in the file counts within a second."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.file = KeyFile(path)
        self._clock = clock
        self._looked: float | None = None
        self._seen: tuple[int, ...] | None = None
        self._keys: dict[str, ApiKey] = {}

    def find(self, text: str) -> ApiKey | None:
        """Return the valid key that *text* is, or None.

        Raises KeysFileError while the file cannot be used: nobody is let in by what it said before.
        """
        self._refresh()
        parts = text.split("_", 2)
        found = self._keys.get(parts[1]) if len(parts) == 3 else None  # noqa: PLR2004  prefix, id and secret
        if found is None or not hmac.compare_digest(found.digest, _digest(text)):
            return None
        return found if found.is_valid_at(datetime.now(UTC)) else None

    def valid(self) -> list[ApiKey]:
        """Return the keys that may be used now; raises KeysFileError."""
        self._refresh()
        now = datetime.now(UTC)
        return [key for key in self._keys.values() if key.is_valid_at(now)]

    def _refresh(self) -> None:
        now = self._clock()
        if self._looked is not None and now - self._looked < _LOOKED_AT:
            return
        state = self._state()
        if state != self._seen or state is None:
            # Forgotten first: a file that cannot be read lets nobody in.
            self._seen, self._keys, self._looked = None, {}, None
            self._keys = {key.key_id: key for key in self.file.read()}
            self._seen = state
        self._looked = now

    def _state(self) -> tuple[int, ...] | None:
        try:
            found = self.file.path.stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode)


def _parsed(data: bytes) -> list[ApiKey]:
    content = orjson.loads(data)
    if content["version"] != _VERSION:
        raise ValueError("another version")
    return [ApiKey.from_json(entry) for entry in content["keys"]]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _refused(field: str, given: object, expected: str) -> InvalidInputError:
    return InvalidInputError(
        f"{field} is {shown(given)}; expected {expected}", field=field, given=given, expected=expected
    )
