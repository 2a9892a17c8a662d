"""What operators look at: running transfers, and what the doctor finds."""

import asyncio
from typing import Final

import anyio.to_thread
from fastapi import APIRouter, Response

from media_gateway.server.answering import TheService, as_json
from media_gateway.server.auth import ADMIN, READ
from media_gateway.server.documentation import KEYED, answers
from media_gateway.server.wire.operations import DIAGNOSIS_EXAMPLE, TRANSFERS_EXAMPLE, DiagnosisShown, Transfers
from media_gateway.transfer.watching import newest_progress
from media_gateway.upkeep import diagnose

router = APIRouter(tags=["operations"])

_EXAMINING: Final = asyncio.Lock()
"""An examination asks the server much; one at a time is enough."""


@router.get(
    "/v1/transfers",
    operation_id="transfers",
    summary="How far a transfer is",
    dependencies=[READ],
    responses=answers(Transfers, "The transfer.", *KEYED, example=TRANSFERS_EXAMPLE),
)
async def transfers() -> Response:
    """Return how far the resumable transfer is that was worked on last in the service's folder."""
    found = await anyio.to_thread.run_sync(newest_progress)
    shown = [
        {
            "journal": str(progress.path),
            "done": progress.done,
            "expected": progress.expected,
            "finished": progress.is_finished,
            "idle_seconds": round(progress.idle, 3),
        }
        for progress in (found,)
        if progress is not None
    ]
    return as_json({"transfers": shown})


@router.get(
    "/v1/doctor",
    operation_id="doctor",
    summary="What is wrong",
    dependencies=[ADMIN],
    responses=answers(DiagnosisShown, "What was found.", *KEYED, example=DIAGNOSIS_EXAMPLE),
)
async def doctor(service: TheService) -> Response:
    """Look at the backend as media-gateway doctor does, and return what is wrong and what mends it; nothing is changed."""
    async with _EXAMINING:
        return as_json((await diagnose(service.settings)).as_json())
