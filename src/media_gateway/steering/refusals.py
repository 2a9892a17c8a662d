"""When a state cannot be set: records would be lost, or the move is not over yet."""

from contextlib import AsyncExitStack
from typing import Final

from media_gateway.contracts import Digests, VectorStore
from media_gateway.errors import InvalidRequestError, UnsupportedError
from media_gateway.rollout import RolloutParts, RolloutState
from media_gateway.rollout.ledger import read_ledger
from media_gateway.rollout.state import Mode, Side, other
from media_gateway.settings import Settings
from media_gateway.transfer.verify import Comparison, compare
from media_gateway.wiring import open_existing

_NAMES: Final[dict[Side, str]] = {"memory": "memory", "postgres": "PostgreSQL"}


async def existing(settings: Settings, side: Side) -> VectorStore | None:
    """Return the store of *side*, for reading, or None where no collection was made yet."""
    return await open_existing(settings.model_copy(update={"backend": side}))


async def count_of(settings: Settings, side: Side) -> int:
    """Return how many records the store of *side* holds."""
    store = await existing(settings, side)
    if store is None:
        return 0
    try:
        return (await store.stats()).count
    finally:
        await store.aclose()


async def refuse_loss(settings: Settings, truth: Side) -> None:
    """Raise UnsupportedError where the store that is to follow *truth* has what it lacks, which would be lost.

    A store that lacks records of the truth loses none by following it, such as a copy from which the truth went on.
    """
    follower = other(truth)
    async with AsyncExitStack() as stack:
        stores: dict[Side, VectorStore | None] = {}
        counts: dict[Side, int] = {}
        for side in (truth, follower):
            store = stores[side] = await existing(settings, side)
            if store is not None:
                stack.push_async_callback(store.aclose)
            counts[side] = 0 if store is None else (await store.stats()).count
        if not counts[follower]:
            return
        found = await _compared(stores[truth], stores[follower])
    lost = counts[follower] if found is None else found.kinds.get("extra", 0) + found.kinds.get("changed", 0)
    if lost:
        raise UnsupportedError(
            f"memory holds {counts['memory']:,} records and PostgreSQL {counts['postgres']:,}; {lost:,} of those in "
            f"{_NAMES[follower]} are missing or different in {_NAMES[truth]} and would be lost; look with media-gateway "
            f"transfer verify --from memory:{settings.memory_path} --to postgres, move them with media-gateway transfer "
            "run, or let them go with --discard",
            feature="a rollout over two different collections",
            store=follower,
        )


def refuse_unheard(pid: int, *, may_be_off: bool) -> None:
    """Raise UnsupportedError since process *pid* goes on writing to memory alone, where PostgreSQL is to be the truth.

    With *may_be_off* a state under which memory is the truth is possible instead.
    """
    advice = "set off first, start it anew with RUVECTOR_BACKEND=postgres, and then set on" if may_be_off else "stop it"
    raise UnsupportedError(
        f"process {pid} serves from memory alone, and what it writes from now on would be lost, since PostgreSQL is to be "
        f"the truth: {advice}; or let it be lost with --discard",
        feature="a rollout beside the kill switch",
        store="memory",
    )


async def _compared(truth: VectorStore | None, follower: VectorStore | None) -> Comparison | None:
    """Return how both differ; None where one of them is not there or computes no digests."""
    if not isinstance(truth, Digests) or not isinstance(follower, Digests):
        return None
    return await compare(truth, follower, limit=0)


def refuse_too_early(parts: RolloutParts, former: RolloutState | None, mode: Mode, *, alone: bool) -> None:
    """Refuse the end of the move, which *alone* asks for, before PostgreSQL is the truth and memory has everything."""
    if not alone:
        return
    if mode != "on":
        raise InvalidRequestError(
            f"--alone was given with {mode}; it ends the move, so it goes with on", field="alone", given=mode
        )
    ledger = read_ledger(parts.files.ledger)
    is_moved = ledger.facts is not None and ledger.facts.truth == "postgres" and "memory" not in ledger.open.values()
    if former is None or former.mode != "on" or not is_moved:
        raise UnsupportedError(
            "the move is not over yet: PostgreSQL is not the truth; set on first, and wait until media-gateway rollout "
            "status says so",
            feature="ending a rollout",
            store="postgres",
        )
