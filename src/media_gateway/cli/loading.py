"""Loading a file: checked as a whole, then embedded and written batch after batch."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import anyio.to_thread

from media_gateway.cli.options import place
from media_gateway.cli.output import note
from media_gateway.cli.progress import LoadProgress
from media_gateway.cli.sources import Row, Source, opened_source
from media_gateway.contracts import BulkLoads, Tunes, VectorStore
from media_gateway.errors import InvalidInputError, StoreError, UnsupportedError
from media_gateway.models import Added, ContentVector, MediaContent, VectorSpace
from media_gateway.settings import Settings
from media_gateway.wiring import open_gateway, open_store

_BATCH: Final = 64
"""Rows that are embedded, written and acknowledged together: a third of a second's work, lost at most by a kill."""
_VECTOR_BATCH: Final = 1_000
"""The same for rows that come with vectors."""
_WORTH_TUNING: Final = 5_000
"""Rows of a load that is followed by tuning, when they are at least half of the collection then."""
_TUNING_SAMPLE: Final = 200


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a load did: *written* rows are new or changed, *unchanged* ones were there already.

    *ef_search* is the width of searches that tuning chose then, None where it was not tuned; *seconds* include that.
    """

    rows: int
    written: int
    unchanged: int
    seconds: float
    ef_search: int | None = None


async def load(
    settings: Settings,
    source: str,
    model: str | None,
    progress: LoadProgress,
    *,
    folder: str | None = None,
    tune: bool = True,
) -> Loaded:
    """Load the file *source*, the sample catalogue, or a MovieLens *folder* into the store that *settings* choose.

    The file is read twice: nothing is written unless every row is sound. *model* names what made the vectors of a
    file that brings them, by default the settings' own model. When it is cut off, the batches written by then are there, and it can simply be repeated.
    Raises what `ContentFile.batches` and opening the store raise, and InvalidInputError for a *model* without vectors
    or vectors without a *model*.
    """
    with opened_source(source, folder) as file:
        return await _load(settings, file, model, progress, tune=tune)


async def _load(settings: Settings, file: Source, model: str | None, progress: LoadProgress, *, tune: bool) -> Loaded:
    began = time.monotonic()
    rows, dimension = await _checked(file, progress)
    if dimension is not None:
        model = model or settings.own_model
    _check_model(file, model, dimension)
    if model is None or dimension is None:
        async with open_gateway(settings) as gateway:
            progress.phase("embedding and writing", rows)
            added = await _write(file, _BATCH, lambda batch: gateway.add([_content(row) for row in batch]), progress)
            width = await _tuned(gateway.store, added, settings, progress) if tune else None
    else:
        store = await open_store(settings, space=VectorSpace(model=model, dimension=dimension))
        try:
            progress.phase("writing", rows)
            added = await _write_vectors(store, file, progress)
            width = await _tuned(store, added, settings, progress) if tune else None
        finally:
            await store.aclose()
    return Loaded(
        rows=rows,
        written=added.written,
        unchanged=added.unchanged,
        seconds=time.monotonic() - began,
        ef_search=width,
    )


async def _tuned(store: VectorStore, added: Added, settings: Settings, progress: LoadProgress) -> int | None:
    """Tune *store* where it can be and where most of it is new, and return the width chosen."""
    if not isinstance(store, Tunes) or added.written < _WORTH_TUNING:
        return None
    if (await store.stats()).count > 2 * added.written:
        return None
    progress.phase("tuning searches", None)
    try:
        return (await store.tune(target=settings.recall_target, sample=_TUNING_SAMPLE)).ef_search
    except (UnsupportedError, StoreError) as error:
        note(f"the load is done, but searches were not tuned: {error}")
        return None


async def _checked(file: Source, progress: LoadProgress) -> tuple[int, int | None]:
    """Return how many rows *file* has, and of how many numbers its vectors are, after looking at each."""
    progress.phase("checking", None)
    count = 0
    dimension: int | None = None
    async for batch in _in_thread(file.batches(_VECTOR_BATCH)):
        count += len(batch)
        dimension = None if batch[0].vector is None else batch[0].vector.shape[0]
        progress.advance(len(batch))
    return count, dimension


def _check_model(file: Source, model: str | None, dimension: int | None) -> None:
    if dimension is not None and model is None:
        raise InvalidInputError(
            f"{file.path} brings vectors of {dimension} numbers; name the model that made them with --model",
            field="model",
            expected="the name of an embedding model",
        )
    if dimension is None and model is not None:
        raise InvalidInputError(
            f"--model is {model!r}, but {file.path} brings no vectors; leave --model out, the text is embedded here",
            field="model",
            given=model,
        )


async def _write(
    file: Source, size: int, add: Callable[[Sequence[Row]], Awaitable[Added]], progress: LoadProgress
) -> Added:
    written = unchanged = 0
    try:
        async for batch in _in_thread(file.batches(size)):
            added = await add(batch)
            written += added.written
            unchanged += added.unchanged
            progress.advance(len(batch))
    except BaseException:
        if written + unchanged:
            note(f"{written + unchanged:,} rows were done before that and are kept; run the same command to go on")
        raise
    return Added(written=written, unchanged=unchanged)


async def _write_vectors(store: VectorStore, file: Source, progress: LoadProgress) -> Added:
    if isinstance(store, BulkLoads) and (await store.stats()).count == 0:
        return Added(written=await store.bulk_load(_records(file, progress), on_stage=progress.stage), unchanged=0)
    return await _write(file, _VECTOR_BATCH, lambda batch: _add(store, [_record(row) for row in batch]), progress)


async def _records(file: Source, progress: LoadProgress) -> AsyncIterator[list[ContentVector]]:
    async for batch in _in_thread(file.batches(_VECTOR_BATCH)):
        yield [_record(row) for row in batch]
        progress.advance(len(batch))


async def _add(store: VectorStore, records: Sequence[ContentVector]) -> Added:
    existing = await store.get([record.key for record in records])
    fresh = [record for record, found in zip(records, existing, strict=True) if record != found]
    await store.upsert(fresh)
    return Added(written=len(fresh), unchanged=len(records) - len(fresh))


def _content(row: Row) -> MediaContent:
    if isinstance(row, ContentVector):
        raise InvalidInputError(f"{row.key} is no film or series", field="content", expected="content")
    return row.content


def _record(row: Row) -> ContentVector:
    if isinstance(row, ContentVector):
        return row
    if row.vector is None:
        raise InvalidInputError(f"{row.place} has no vector", field="vector", expected="a vector")
    return ContentVector(key=row.content.key, vector=row.vector, metadata=row.content.metadata())


async def _in_thread(batches: Iterator[Sequence[Row]]) -> AsyncIterator[Sequence[Row]]:
    """Yield *batches*, each read on a thread, so that signals are heard while a large file is read."""
    while batch := await anyio.to_thread.run_sync(next, batches, None):
        yield batch


def summary(loaded: Loaded, settings: Settings) -> str:
    """Return in a sentence what *loaded* says and where the records are."""
    tuned = "" if loaded.ef_search is None else f"; searches are tuned to ef_search {loaded.ef_search}"
    return (
        f"{loaded.rows:,} rows in {loaded.seconds:.1f} s: {loaded.written:,} written, {loaded.unchanged:,} unchanged, "
        f"in {place(settings)}{tuned}"
    )
