"""The ends of a transfer, opened: the stores and files behind what `--from` and `--to` say."""

import fcntl
import hashlib
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from media_gateway.cli.addresses import url_of
from media_gateway.contracts import Digests, VectorStore
from media_gateway.errors import InvalidInputError, MediaGatewayError, SettingsError, StoreError
from media_gateway.models import VectorSpace
from media_gateway.settings import Settings
from media_gateway.stores.postgres import PostgresStore
from media_gateway.transfer.copy import Conflicts, check_file
from media_gateway.transfer.ends import End, parsed_end
from media_gateway.transfer.file_digests import FileDigests
from media_gateway.transfer.plan import TargetFacts
from media_gateway.transfer.record_files import open_record_file
from media_gateway.transfer.sources import FileSource, Source, StoreSource
from media_gateway.transfer.watching import JOURNALS
from media_gateway.wiring import open_alone, open_existing


@dataclass(frozen=True, kw_only=True)
class NamedEnd:
    """An end with the *settings* that mean it, and its *name* in messages and journals, which has no password."""

    end: End
    settings: Settings
    name: str

    @property
    def written(self) -> str:
        """The end as it can be given again on the command line; the password of a URL is left out."""
        if self.end.kind != "postgres":
            return self.name
        if self.end.url is None:
            return "postgres"
        open_to_all = {name: text for name, text in self.settings.conninfo().items() if "password" not in name}
        return f"postgres:{url_of(open_to_all)}"


def named_end(text: str, option: str, settings: Settings) -> NamedEnd:
    """Return the end that *text* means; raises InvalidInputError, never quoting a URL."""
    end = parsed_end(text, option)
    if end.kind == "file":
        return NamedEnd(end=end, settings=settings, name=str(end.place))
    if end.kind == "memory":
        chosen = settings.model_copy(update={"backend": "memory", "memory_path": end.place})
        return NamedEnd(end=end, settings=chosen, name=f"memory:{end.place}")
    update: dict[str, object] = {"backend": "postgres"}
    if end.url is not None:
        update["database_url"] = end.url
    chosen = settings.model_copy(update=update)
    try:
        name = chosen.server()
    except SettingsError as error:
        if end.url is None:
            raise
        raise InvalidInputError(
            f"{option} is no connection string (value hidden); expected "
            "postgres:postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
            field=option.lstrip("-"),
            expected="a URL",
        ) from error
    return NamedEnd(end=end, settings=chosen, name=name)


def both_ends(source: str, target: str, settings: Settings) -> tuple[NamedEnd, NamedEnd]:
    """Return the ends that the two texts mean; raises InvalidInputError when they are the same."""
    ends = named_end(source, "--from", settings), named_end(target, "--to", settings)
    if len({_identity(end) for end in ends}) == 1:
        raise InvalidInputError(
            f"--from and --to are both {ends[0].name}; expected two ends", field="to", given=ends[1].name
        )
    return ends


def _identity(end: NamedEnd) -> str:
    return f"{end.end.kind}:{end.end.path.resolve() if end.end.path else end.name}"


def journal_path(source: NamedEnd, target: NamedEnd) -> Path:
    """Return where the journal of a resumable transfer between two ends lies unless told otherwise."""
    name = hashlib.sha256(f"{_identity(source)}\n{_identity(target)}".encode()).hexdigest()[:12]
    return JOURNALS / f"{name}.journal"


def terms_of(source: NamedEnd, target: NamedEnd) -> dict[str, str]:
    """Return how a journal records the two ends."""
    return {"from": _identity(source), "to": _identity(target)}


@asynccontextmanager
async def opened_source(end: NamedEnd, model: str | None) -> AsyncGenerator[Source]:
    """Open *end* for reading. Raises StoreError when there is no collection, and what opening raises."""
    if end.end.kind == "file":
        file = await anyio.to_thread.run_sync(lambda: open_record_file(end.end.place, model=model))
        yield FileSource(file, end.name)
        return
    _refuse_model(model)
    store = await open_existing(end.settings)
    if store is None:
        raise StoreError(f"{end.name} holds no collection yet; give an end that has records")
    try:
        yield StoreSource(store, end.name)
    finally:
        await store.aclose()


def _refuse_model(model: str | None) -> None:
    if model is not None:
        raise InvalidInputError(
            f"--model is {model!r}, but a store records what made its vectors; leave --model out",
            field="model",
            given=model,
        )


@asynccontextmanager
async def opened_target(end: NamedEnd, space: VectorSpace) -> AsyncGenerator[VectorStore]:
    """Open the store *end* for writing vectors of *space*; an empty database gets its schema."""
    store = await open_alone(end.settings, space=space)
    try:
        yield store
    finally:
        await store.aclose()


@asynccontextmanager
async def looked_at(end: NamedEnd, conflicts: Conflicts) -> AsyncGenerator[tuple[TargetFacts, Digests | None]]:
    """Look at the target *end* without changing it; with its digests where it has records."""
    if end.end.kind == "file":
        yield _file_facts(end, conflicts), None
        return
    store = await open_existing(end.settings)
    try:
        count = 0 if store is None else (await store.stats()).count
        facts = TargetFacts(
            kind=end.end.kind,
            name=end.name,
            space=None if store is None else store.space,
            count=count,
            folder=_folder(end),
            problem=await _problem(end, store),
        )
        yield facts, store if count and isinstance(store, Digests) else None
    finally:
        if store is not None:
            await store.aclose()


def _file_facts(end: NamedEnd, conflicts: Conflicts) -> TargetFacts:
    problem = None
    try:
        check_file(end.end.place, conflicts)
    except MediaGatewayError as error:
        problem = str(error)
    folder = end.end.place.parent
    return TargetFacts(
        kind="file", name=end.name, space=None, count=0, folder=folder, problem=problem or _unwritable(folder)
    )


def _folder(end: NamedEnd) -> Path | None:
    if end.end.kind == "memory":
        return end.end.place.parent
    return end.settings.embedded_path if end.settings.is_embedded else None


async def _problem(end: NamedEnd, store: VectorStore | None) -> str | None:
    if end.end.kind == "memory":
        return _unwritable(end.end.place.parent) or _locked(end.end.place)
    if not isinstance(store, PostgresStore):
        return None
    async with store.serving_connection() as connection:
        cursor = await connection.execute(
            "SELECT current_setting('transaction_read_only') = 'on' OR pg_is_in_recovery(), "
            "has_table_privilege('content_vectors', 'INSERT, UPDATE')"
        )
        is_read_only, may_write = await cursor.fetchone() or (False, True)
    if is_read_only:
        return f"{end.name} is read-only; give the primary server"
    return None if may_write else f"{end.name} does not let this role write to content_vectors; grant it"


def _unwritable(folder: Path) -> str | None:
    while not folder.exists():
        folder = folder.parent
    return None if os.access(folder, os.W_OK) else f"the folder {folder} cannot be written to; choose another place"


def _locked(path: Path) -> str | None:
    """Tell whether a process writes to the memory store at *path*, without leaving a trace."""
    place = path.with_name(path.name + ".lock")
    try:
        with place.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return f"{path} is being written by another process; stop it first"
    return None


@asynccontextmanager
async def compared(end: NamedEnd, *, model: str | None, fallback: str | None = None) -> AsyncGenerator["ComparedEnd"]:
    """Open *end* for comparing; the vectors of a file without a model are taken for those of *model* or *fallback*."""
    if end.end.kind == "file":
        file = await anyio.to_thread.run_sync(lambda: open_record_file(end.end.place, model=model, fallback=fallback))
        yield ComparedEnd(digests=FileDigests(file), space=file.space, store=None)
        return
    store = await open_existing(end.settings)
    if store is None:
        raise StoreError(f"{end.name} holds no collection yet; there is nothing to compare")
    try:
        if not isinstance(store, Digests):
            raise StoreError(f"{end.name} cannot be compared: it computes no digests")
        yield ComparedEnd(digests=store, space=store.space, store=store)
    finally:
        await store.aclose()


@dataclass(frozen=True, kw_only=True)
class ComparedEnd:
    """An end that is compared; *store* is None for a file, which cannot be searched."""

    digests: Digests
    space: VectorSpace
    store: VectorStore | None


def source_digests(source: Source) -> Digests | None:
    """Return what compares the records of *source*, None where it cannot be."""
    if isinstance(source, FileSource):
        return FileDigests(source.file)
    store = source.store if isinstance(source, StoreSource) else None
    return store if isinstance(store, Digests) else None
