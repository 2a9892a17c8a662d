"""Reading what is known of a rollout: its state, its history, its comparisons."""

from datetime import datetime
from socket import gethostname
from typing import Any

from media_gateway.errors import StoreError
from media_gateway.rollout.keeper import StateKeeper
from media_gateway.settings import Settings
from media_gateway.wiring import rollout_parts


async def read_status(settings: Settings) -> dict[str, Any]:
    """Return the state and what the process that serves reports, as a JSON object; PostgreSQL need not answer."""
    parts = rollout_parts(settings)
    parts.table.patience = 2.0
    keeper = StateKeeper(parts.files.state, parts.table)
    try:
        postgres = "answers"
        try:
            state = await keeper.reconcile()
        except StoreError as error:
            state, postgres = keeper.current(), str(error)
    finally:
        await parts.table.aclose()
    facts: dict[str, Any] = {
        "state": "none recorded: PostgreSQL alone" if state is None else state.text,
        "mode": None if state is None else state.mode,
        "percent": None if state is None else state.percent,
        "epoch": None if state is None else state.epoch,
        "at": None if state is None else state.at.isoformat(timespec="milliseconds"),
        "who": None if state is None else state.who,
        "why": None if state is None else state.why,
        "tripped": state is not None and state.tripped,
        "guard": "-" if state is None else f"tripped: {state.why}" if state.tripped else "quiet",
        "unrecorded": len(keeper.file.unrecorded()),
        "postgres": postgres,
        "service": parts.files.report.read(),
    }
    return facts


async def read_history(settings: Settings, limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """Return the last entries with what each one changed, the latest first, and why PostgreSQL's are missing."""
    parts = rollout_parts(settings)
    try:
        # One more, to know from what the last one came.
        states, problem = await StateKeeper(parts.files.state, parts.table).history(limit + 1)
    finally:
        await parts.table.aclose()
    formers = [*(state.text for state in states[1:]), None]
    entries = [
        {
            "epoch": state.epoch,
            "at": state.at.isoformat(timespec="milliseconds"),
            "who": state.who,
            "from": former,
            "to": state.text,
            "why": state.why,
        }
        for state, former in zip(states, formers, strict=False)
    ]
    return entries[:limit], problem


async def read_comparisons(settings: Settings, limit: int) -> list[dict[str, Any]]:
    """Return the last summaries of comparisons, the latest first: before them what the present minute came to so far."""
    parts = rollout_parts(settings)
    try:
        rows = await parts.table.summaries(limit)
    finally:
        await parts.table.aclose()
    kept = [{**row, "at": row["at"].isoformat(timespec="seconds")} for row in rows]
    return [*_present_minute(parts.files.report.read()), *kept][:limit]


def _present_minute(service: dict[str, Any] | None) -> list[dict[str, Any]]:
    if service is None or service["comparisons"] is None:
        return []
    at = datetime.fromisoformat(service["at"]).isoformat(timespec="seconds")
    return [{"at": at, "process": f"{gethostname()}:{service['pid']}", **service["comparisons"]}]
