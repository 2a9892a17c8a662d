"""The two ends of a transfer, as they are written: `memory:PATH`, `postgres`, `postgres:URL`, or a file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pydantic import SecretStr

from media_gateway.errors import InvalidInputError, shown

EndKind: TypeAlias = Literal["memory", "postgres", "file"]

FILE_SUFFIXES: Final = (".parquet", ".jsonl", ".npz")
_URL_SCHEMES: Final = ("postgresql://", "postgres://")
_EXPECTED: Final = "memory:PATH, postgres, postgres:URL, or a .parquet, .jsonl or .npz file"


@dataclass(frozen=True, kw_only=True)
class End:
    """One end: a memory store's or a file's *path*, or a PostgreSQL by its *url*, None meaning that of the settings."""

    kind: EndKind
    path: Path | None = None
    url: SecretStr | None = field(default=None, repr=False)

    @property
    def place(self) -> Path:
        """The path of a memory store or a file."""
        if self.path is None:
            raise ValueError(f"a {self.kind} end has no path")
        return self.path


def parsed_end(text: str, option: str) -> End:
    """Return the end that *text* means; *option* is named in errors, which never quote a URL.

    Raises InvalidInputError for anything else than the forms above.
    """
    if text == "postgres":
        return End(kind="postgres")
    if text.startswith(_URL_SCHEMES):
        return End(kind="postgres", url=SecretStr(text))
    head, colon, rest = text.partition(":")
    if colon and head == "postgres":
        if not rest.startswith(_URL_SCHEMES):
            raise _refused(
                option, "postgres: and no URL (value hidden)", "postgres:postgresql://USER@HOST:PORT/DATABASE"
            )
        return End(kind="postgres", url=SecretStr(rest))
    if colon and head == "memory":
        if not rest:
            raise _refused(option, shown(text), "memory: and the path of its snapshot, such as memory:data/memory.snap")
        return End(kind="memory", path=Path(rest))
    path = Path(text)
    if path.suffix.lower() in FILE_SUFFIXES:
        return End(kind="file", path=path)
    hint = "; the memory store's file is written memory:PATH" if path.suffix == ".snap" or text == "memory" else ""
    raise _refused(option, shown(text), f"{_EXPECTED}{hint}")


def _refused(option: str, given: str, expected: str) -> InvalidInputError:
    return InvalidInputError(
        f"{option} is {given}; expected {expected}", field=option.lstrip("-"), given=given, expected=expected
    )
