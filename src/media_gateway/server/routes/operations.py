"""What operators look at: running transfers, and what the doctor finds."""

import anyio.to_thread
from fastapi import APIRouter, Response

from media_gateway.server.answering import TheService, as_json
from media_gateway.server.auth import ADMIN, READ
from media_gateway.server.documentation import KEYED, answers
from media_gateway.server.wire.operations import DIAGNOSIS_EXAMPLE, TRANSFERS_EXAMPLE, DiagnosisShown, Transfers
from media_gateway.transfer.watching import newest_progress

router = APIRouter(tags=["operations"])


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
    return as_json({"transfers": [] if found is None else [found.as_json()]})


@router.get(
    "/v1/doctor",
    operation_id="doctor",
    summary="What is wrong",
    dependencies=[ADMIN],
    responses=answers(DiagnosisShown, "What was found.", *KEYED, example=DIAGNOSIS_EXAMPLE),
)
async def doctor(service: TheService) -> Response:
    """Look at the backend as media-gateway doctor does, and return what is wrong and what mends it; nothing is changed."""
    return as_json((await service.diagnosis()).as_json())
