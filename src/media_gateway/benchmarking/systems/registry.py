"""The systems by name, in groups that are measured by turns because they are compared with one another."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from media_gateway.benchmarking.systems.base import System
from media_gateway.benchmarking.systems.server import BenchmarkServer
from media_gateway.database.index_definitions import INDEX_NAMES, IndexDefinition
from media_gateway.errors import InvalidRequestError, shown

GROUPS: Final = (
    ("postgres", "psycopg"),
    ("memory", "usearch"),
    ("numpy",),
    ("ruvector-npm",),
    ("vecs",),
    ("langchain",),
)
NAMES: Final = tuple(name for group in GROUPS for name in group)
PACKAGES: Final = {
    "vecs": ("vecs", "psycopg2"),
    "langchain": ("langchain_postgres", "asyncpg"),
    "usearch": ("usearch",),
}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What systems are made with: a folder for their files, the server, our index, the recall to reach."""

    folder: Path
    server: BenchmarkServer
    index: IndexDefinition
    target: float


def checked_names(text: str | None) -> list[str]:
    """Return the systems that *text*, names with commas between, asks for; all of them for None.

    Raises InvalidRequestError for a name that there is not.
    """
    if text is None:
        return list(NAMES)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise InvalidRequestError(
            f"--systems names {unknown[0]!r}; expected some of {', '.join(NAMES)}"
            if unknown
            else f"--systems names nothing; expected some of {', '.join(NAMES)}",
            field="systems",
            given=text,
            expected=", ".join(NAMES),
        )
    return names


def checked_index(text: str, *, m: int = 16, ef_construction: int = 64) -> IndexDefinition:
    """Return the index of the kind that *text* names; raises InvalidRequestError for another one.

    Raises what IndexDefinition does for an *m* or an *ef_construction* that there is not.
    """
    for kind in INDEX_NAMES:
        if text == kind:
            return IndexDefinition(kind=kind, m=m, ef_construction=ef_construction)
    raise InvalidRequestError(
        f"--index is {shown(text)}; expected 'vector' or 'halfvec'",
        field="index",
        given=text,
        expected="vector or halfvec",
    )


def reason_to_leave_out(name: str) -> str | None:
    """Return why the system *name* cannot be measured here, None when it can."""
    missing = [package for package in PACKAGES.get(name, ()) if importlib.util.find_spec(package) is None]
    if missing:
        return f"the package {missing[0].replace('_', '-')} is not installed"
    if name == "ruvector-npm":
        from media_gateway.benchmarking.systems.npm import missing_programs  # noqa: PLC0415

        programs = missing_programs()
        return f"the program {programs[0]} is not installed" if programs else None
    return None


def made(names: Sequence[str], given: Surroundings) -> list[System]:
    """Return the systems *names* of one group; those of our collection share it."""
    # Imported where they are made: each brings a library of its own.
    if "postgres" in names or "psycopg" in names:
        from media_gateway.benchmarking.systems.postgres import BarePsycopg, Collection, Postgres  # noqa: PLC0415

        collection = Collection(given.server, given.index)
        ours: dict[str, System] = {
            "postgres": Postgres(collection, given.target),
            "psycopg": BarePsycopg(given.server, collection),
        }
        return [ours[name] for name in names]
    return [_made(name, given) for name in names]


def _made(name: str, given: Surroundings) -> System:
    if name == "memory":
        from media_gateway.benchmarking.systems.memory import Memory  # noqa: PLC0415

        return Memory(given.folder / "memory", given.target)
    if name == "ruvector-npm":
        from media_gateway.benchmarking.systems.npm import NpmRuvector  # noqa: PLC0415

        return NpmRuvector(given.folder / "node")
    if name == "vecs":
        from media_gateway.benchmarking.systems.vecs import Vecs  # noqa: PLC0415

        return Vecs(given.server, given.index)
    if name == "langchain":
        from media_gateway.benchmarking.systems.langchain import LangChain  # noqa: PLC0415

        return LangChain(given.server, given.index)
    from media_gateway.benchmarking.systems.in_process import Numpy, Usearch  # noqa: PLC0415

    return Usearch() if name == "usearch" else Numpy()
