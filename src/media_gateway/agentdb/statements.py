"""The statements of `sql/queries.sql`, read once; a name that is not there fails on import of whoever asks for it."""

import re
from functools import cache
from importlib.resources import files
from typing import Final

_FOLDER: Final = files("media_gateway.agentdb") / "sql"


@cache
def _statements() -> dict[str, str]:
    text = (_FOLDER / "queries.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- (\w+) --$", text, flags=re.MULTILINE)[1:]
    named = dict(zip(parts[::2], parts[1::2], strict=True))
    return {name: re.sub(r"^--.*\n?", "", body, flags=re.MULTILINE).strip() for name, body in named.items()}


def statement(name: str) -> str:
    """Return the statement under the heading *name*; raises KeyError where there is none."""
    return _statements()[name]


def base_script() -> str:
    """Return the script of the tables that the npm package knows, which makes what is missing."""
    return (_FOLDER / "base.sql").read_text(encoding="utf-8")


def additions() -> list[tuple[str, str]]:
    """Return name and text of the scripts of our own tables, in the order in which they are run."""
    found = [entry for entry in (_FOLDER / "additions").iterdir() if entry.name.endswith(".sql")]
    return [(entry.name, entry.read_text(encoding="utf-8")) for entry in sorted(found, key=lambda entry: entry.name)]
