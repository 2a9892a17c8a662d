"""Setting and reading the state of a rollout, and waiting for the process that serves."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from media_gateway.errors import ModelMismatchError, SchemaError, StoreError, StoreLockedError, UnsupportedError
from media_gateway.rollout import RolloutParts, RolloutState, RolloutStore
from media_gateway.rollout.keeper import StateKeeper, operator_name
from media_gateway.rollout.state import Mode, Side, checked_mode
from media_gateway.settings import Settings
from media_gateway.steering.refusals import count_of, existing, refuse_loss, refuse_too_early, refuse_unheard
from media_gateway.wiring import open_postgres, open_store, rollout_parts

_HEARING_SECONDS: Final = 3.0
_SWITCH_SECONDS: Final = 15.0
_VERIFY_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.02


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be set; *who* is told to the history, the system's user where it is None."""

    mode: str
    percent: float | None
    reason: str
    may_discard: bool = False
    alone: bool = False
    who: str | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """What was set, and what became of it.

    *seconds* passed from the state's write until the process that serves had switched; None when none serves, or when
    it has not switched yet. *verified* is what the comparison of both stores found, None when there was none.
    """

    former: str | None
    state: RolloutState
    recorded: bool
    seconds: float | None
    sentence: str
    verified: dict[str, Any] | None = None
    remarks: list[str] = field(default_factory=list[str])

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "from": self.former,
            "to": self.state.text,
            "epoch": self.state.epoch,
            "recorded": self.recorded,
            "seconds": self.seconds,
            "verified": self.verified,
            "remarks": self.remarks,
        }


async def change(settings: Settings, wish: Wish) -> Change:
    """Set the state that *wish* names and wait for the process that serves to follow.

    Raises InvalidRequestError for a mode or percent that cannot be, StoreUnavailableError when PostgreSQL is away, and
    UnsupportedError where records would be lost.
    """
    mode, percent = checked_mode(wish.mode, wish.percent)
    parts = rollout_parts(settings)
    keeper = StateKeeper(parts.files.state, parts.table)
    try:
        await _make_ready(settings)
        former = await keeper.reconcile()
        refuse_too_early(parts, former, mode, alone=wish.alone)
        if wish.may_discard:
            keeper.file.claim()
        if former is None or former.is_over:
            await _begin(settings, parts, keeper, wish, mode, is_first=former is None)
        return await _set(parts, keeper, former, wish, mode=mode, percent=percent)
    finally:
        await parts.table.aclose()


async def _begin(
    settings: Settings, parts: RolloutParts, keeper: StateKeeper, wish: Wish, mode: Mode, *, is_first: bool
) -> None:
    """Look whether a rollout can begin with *mode*, and note that PostgreSQL is the truth where it served alone until now.

    Raises UnsupportedError where records would be lost that *wish* does not let go.
    """
    service = parts.files.report.read()
    alone = None if service is None else service.get("alone")
    # After an earlier rollout PostgreSQL stood alone, and where memory has nothing it did so before.
    is_alone = mode == "on" or alone == "postgres" or not is_first
    if not is_alone and alone is None:
        is_alone = not await count_of(settings, "memory") and await count_of(settings, "postgres") > 0
    truth: Side = "postgres" if is_alone else "memory"
    if not wish.may_discard:
        if service is not None and alone == "memory" and truth == "postgres":
            refuse_unheard(service["pid"], may_be_off=is_first)
        if is_first:
            await refuse_loss(settings, truth)
    if is_first and truth == "postgres" and mode != "on":
        # Memory gets what PostgreSQL has before it becomes the truth, whatever is written meanwhile.
        await keeper.set("on", 100.0, who=wish.who or operator_name(), why="PostgreSQL served alone until now")


async def _set(
    parts: RolloutParts,
    keeper: StateKeeper,
    former: RolloutState | None,
    wish: Wish,
    *,
    mode: Mode,
    percent: float = 0.0,
) -> Change:
    began = time.monotonic()
    state, problem = await keeper.set(
        mode, percent, who=wish.who or operator_name(), why=wish.reason, follows=not wish.alone
    )
    remarks = [] if problem is None else [f"recorded on this machine alone until PostgreSQL is back: {problem}"]
    seconds, words = await _followed(parts, state, began)
    return Change(
        former=None if former is None else former.text,
        state=state,
        recorded=problem is None,
        seconds=seconds,
        sentence=f"rollout is {state.text} (epoch {state.epoch}); {words}",
        remarks=remarks,
    )


async def roll_back(settings: Settings, reason: str, *, who: str | None = None, verify: bool = True) -> Change:
    """Turn reads and writes back to memory, and with *verify* compare both stores afterwards.

    The state is written to the file first, so PostgreSQL need not answer; what could then not be confirmed is said in the
    remarks. Where no process serves, this one brings memory up to date. Raises UnsupportedError when there is no rollout
    to go back from.
    """
    parts = rollout_parts(settings)
    keeper = StateKeeper(parts.files.state, parts.table)
    parts.table.patience = 1.0
    try:
        former = await _known(keeper)
        if former is None or former.is_over:
            raise UnsupportedError(
                "there is no rollout to go back from: memory does not follow PostgreSQL; begin with media-gateway "
                "rollout set on, which fills memory, or set RUVECTOR_BACKEND=memory for memory as it is",
                feature="rollback",
                store="postgres",
            )
        wish = Wish(mode="off", percent=None, reason=reason or "rollback", who=who)
        done = await _set(parts, keeper, former, wish, mode="off")
        return await _verified(settings, parts, done) if verify else done
    finally:
        await parts.table.aclose()


async def _known(keeper: StateKeeper) -> RolloutState | None:
    try:
        return await keeper.reconcile()
    except StoreError:
        return keeper.current()


async def _make_ready(settings: Settings) -> None:
    """Start the embedded server and make or update the schema, where the settings allow that."""
    memory = await existing(settings, "memory")
    space = None
    if memory is not None:
        space = memory.space
        await memory.aclose()
    try:
        await (await open_postgres(settings, space=space)).aclose()
    except (SchemaError, ModelMismatchError) as error:
        if space is not None:
            raise
        raise UnsupportedError(
            f"there is nothing to move: {settings.memory_path} holds no collection, and PostgreSQL neither ({error})",
            feature="rollout",
            store="memory",
        ) from error


async def _followed(parts: RolloutParts, state: RolloutState, began: float) -> tuple[float | None, str]:
    """Wait until the process that serves has switched; return after how many seconds, and that in words."""
    service = parts.files.report.read()
    if service is None:
        return None, "no process serves now: it counts from the next start on"
    while time.monotonic() - began < _SWITCH_SECONDS:
        service = parts.files.report.read()
        if service is None:
            return None, "the process that served has ended"
        if (words := _unfollowed(service, state)) is not None:
            return None, words
        if service["epoch"] >= state.epoch and service["is_switched"]:
            seconds = time.monotonic() - began
            return round(seconds, 3), f"process {service['pid']} switched after {seconds:.2f} s"
        if service["epoch"] >= state.epoch and not service["is_complete"]:
            return None, f"process {service['pid']} switches when its copy is complete: media-gateway rollout status"
        await asyncio.sleep(_LOOK_SECONDS)
    return None, f"process {service['pid']} has not switched yet: {service['failure'] or 'it is busy'}"


def _unfollowed(service: dict[str, Any], state: RolloutState) -> str | None:
    """Return in words that the process that serves takes no part in *state*, None where it does or will."""
    if service.get("alone") == "memory":
        return (
            f"process {service['pid']} serves from memory alone and follows no rollout: start it anew with "
            "RUVECTOR_BACKEND=postgres"
        )
    if service.get("alone") and service["failure"] and service["epoch"] >= state.epoch:
        return f"process {service['pid']} takes no part in it: {service['failure']}"
    return None


async def _verified(settings: Settings, parts: RolloutParts, done: Change) -> Change:
    """Return *done* with what comparing both stores gave: by the process that serves, or by this one."""
    if parts.files.report.read() is None:
        return await _brought_back_here(settings, done)
    deadline = time.monotonic() + _VERIFY_SECONDS
    service = parts.files.report.read()
    if service is not None and _unfollowed(service, done.state) is not None:
        return done
    while service is not None and service["verified"] is None and time.monotonic() < deadline:
        if not service["is_confirmed"] or service["failure"]:
            return _with(
                done, None, "PostgreSQL is away: its last changes are brought over, and compared, when it is back"
            )
        await asyncio.sleep(_LOOK_SECONDS)
        service = parts.files.report.read()
    return _with(done, None if service is None else service["verified"], "the stores were not compared in time")


async def _brought_back_here(settings: Settings, done: Change) -> Change:
    try:
        store = await open_store(settings.model_copy(update={"backend": "postgres"}))
    except StoreLockedError as error:
        return _with(done, None, str(error))
    try:
        if not isinstance(store, RolloutStore):
            return done
        live = store.live
        await _until(lambda: live.truth == "memory", _HEARING_SECONDS)
        await _until(lambda: live.is_complete or live.away is not None, _VERIFY_SECONDS)
        if not live.facts.is_confirmed or live.away is not None:
            return _with(done, None, "PostgreSQL is away: its last changes are brought over when it is back")
        try:
            return _with(done, (await store.live.verify()).as_json(), "")
        except StoreError as error:
            return _with(done, None, f"the stores could not be compared: {error}")
    finally:
        await store.aclose()


async def _until(holds: Callable[[], bool], seconds: float) -> bool:
    for _ in range(round(seconds / _LOOK_SECONDS)):
        if holds():
            return True
        await asyncio.sleep(_LOOK_SECONDS)
    return False


def _with(done: Change, verified: dict[str, Any] | None, otherwise: str) -> Change:
    if verified is None:
        words, remarks = "", [*done.remarks, otherwise]
    else:
        words = f"; {verified['compared']:,} records compared, {verified['differing']:,} differ"
        remarks = list(done.remarks)
        if verified["differing"]:
            remarks.append(f"these differ: {', '.join(verified['keys'])}")
    return Change(
        former=done.former,
        state=done.state,
        recorded=done.recorded,
        seconds=done.seconds,
        sentence=done.sentence + words,
        verified=verified,
        remarks=remarks,
    )
