"""The work behind the `transfer` commands."""

import time
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from media_gateway.cli.output import note
from media_gateway.cli.progress import LoadProgress
from media_gateway.cli.transfer_ends import (
    NamedEnd,
    compared,
    journal_path,
    looked_at,
    opened_source,
    opened_target,
    source_digests,
    terms_of,
)
from media_gateway.errors import InvalidInputError, UnsupportedError
from media_gateway.transfer.copy import Conflicts, Copied, copy_into_file, copy_into_store
from media_gateway.transfer.journal import TransferJournal
from media_gateway.transfer.neighbours import Neighbours, compare_searches
from media_gateway.transfer.plan import TransferPlan, plan
from media_gateway.transfer.resumable import copy_by_batches
from media_gateway.transfer.sources import Source
from media_gateway.transfer.verify import Comparison, compare


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a transfer is asked to do."""

    source: NamedEnd
    target: NamedEnd
    conflicts: Conflicts
    model: str | None
    resumable: bool
    journal: Path | None


@dataclass(frozen=True, kw_only=True)
class Transferred:
    """What a transfer did in *seconds*; *journal* is where a resumable one stands.

    *went_on* tells that a former run had begun it, and *was_finished* that nothing was left to do.
    """

    copied: Copied
    seconds: float
    journal: Path | None = None
    went_on: bool = False
    was_finished: bool = False


@dataclass(frozen=True, kw_only=True)
class Verified:
    """How two ends compare; *spaces* are their models and dimensions. *neighbours* is None unless both are stores."""

    comparison: Comparison
    spaces: tuple[str, str]
    neighbours: Neighbours | None
    seconds: float

    @property
    def is_equal(self) -> bool:
        """Whether both ends hold the same records of the same space."""
        return self.comparison.is_equal and self.spaces[0] == self.spaces[1]


async def planned(wish: Wish, progress: LoadProgress, *, reads_all: bool = False) -> TransferPlan:
    """Return what the transfer will do; nothing is written anywhere.

    With *reads_all* every record of the source is read and checked too, as the transfer will.
    """
    progress.phase("looking", None)
    async with (
        opened_source(wish.source, wish.model) as source,
        looked_at(wish.target, wish.conflicts) as (facts, side),
    ):
        own = source_digests(source)
        sides = (own, side) if own is not None and side is not None else None
        found = await plan(source, facts, sides, conflicts=wish.conflicts, by_batches=wish.resumable)
        if reads_all:
            await _read(source, progress)
        return found


async def _read(source: Source, progress: LoadProgress) -> None:
    progress.phase("checking", await source.count())
    async for batch in source.batches():
        progress.advance(len(batch.records))


async def transferred(wish: Wish, progress: LoadProgress) -> Transferred:
    """Run the transfer."""
    began = time.monotonic()
    async with opened_source(wish.source, wish.model) as source:
        if wish.resumable:
            return await _by_batches(wish, source, progress, began)
        if wish.journal is not None:
            raise InvalidInputError(
                "--journal was given without --resumable; a transfer in one step keeps no journal", field="journal"
            )
        copied = await _in_one_step(wish, source, progress)
    return Transferred(copied=copied, seconds=time.monotonic() - began)


async def _in_one_step(wish: Wish, source: Source, progress: LoadProgress) -> Copied:
    if wish.target.end.kind == "file":
        return await copy_into_file(source, wish.target.end.place, conflicts=wish.conflicts, watcher=progress)
    async with opened_target(wish.target, source.space) as store:
        return await copy_into_store(source, store, conflicts=wish.conflicts, watcher=progress)


async def _by_batches(wish: Wish, source: Source, progress: LoadProgress, began: float) -> Transferred:
    if wish.target.end.kind == "file":
        raise UnsupportedError(
            f"{wish.target.name} is a file, which is written whole or not at all; leave --resumable out",
            feature="--resumable",
            store="file",
        )
    terms = {
        **terms_of(wish.source, wish.target),
        "conflicts": wish.conflicts,
        "vectors": str(source.space),
        "source's state": await source.identity(),
    }
    path = wish.journal or journal_path(wish.source, wish.target)
    with TransferJournal(path, terms) as journal:
        note(f"journal: {path}")
        went_on, was_finished = not journal.is_new, journal.standing.is_finished
        try:
            if not was_finished:
                async with opened_target(wish.target, source.space) as store:
                    await copy_by_batches(source, store, journal, conflicts=wish.conflicts, watcher=progress)
        except BaseException:
            if journal.is_new:
                journal.discard()
                raise
            note(
                f"{journal.standing.copied.read:,} records were acknowledged before that; go on with: {command_of(wish)}"
            )
            raise
        return Transferred(
            copied=journal.standing.copied,
            seconds=time.monotonic() - began,
            journal=path,
            went_on=went_on,
            was_finished=was_finished,
        )


def command_of(wish: Wish) -> str:
    """Return the command that asks for *wish*, without passwords."""
    words = ["media-gateway", "transfer", "run", "--from", wish.source.written, "--to", wish.target.written]
    if wish.conflicts != "fail":
        words += ["--conflicts", wish.conflicts]
    if wish.model is not None:
        words += ["--model", wish.model]
    if wish.resumable:
        words.append("--resumable")
    if wish.journal is not None:
        words += ["--journal", str(wish.journal)]
    return " ".join(map(quote, words))


async def verified(
    source: NamedEnd, target: NamedEnd, *, model: str | None, limit: int, queries: int, progress: LoadProgress
) -> Verified:
    """Compare two ends."""
    began = time.monotonic()
    progress.phase("comparing", None)
    fallback = None
    if source.end.kind == "file" and target.end.kind != "file":
        async with compared(target, model=None) as other:
            fallback = other.space.model
    async with (
        compared(source, model=model, fallback=fallback) as first,
        compared(target, model=model, fallback=first.space.model) as second,
    ):
        comparison = await compare(first.digests, second.digests, limit=limit)
        neighbours = None
        if first.store is not None and second.store is not None and first.space.dimension == second.space.dimension:
            progress.phase("searching both", None)
            neighbours = await compare_searches(first.store, second.store, queries=queries)
        return Verified(
            comparison=comparison,
            spaces=(str(first.space), str(second.space)),
            neighbours=neighbours,
            seconds=time.monotonic() - began,
        )
