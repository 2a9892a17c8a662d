"""Writing, reading and removing what the collection holds."""

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Body, Query, Response

from media_gateway.errors import InvalidRequestError, NotFoundError
from media_gateway.gateway import Gateway
from media_gateway.models import Added, ContentVector, MediaContent
from media_gateway.server.answering import TheGateway, TheKey, TheService, as_json
from media_gateway.server.auth import READ, WRITE
from media_gateway.server.documentation import EMBEDDED, STORED, answers
from media_gateway.server.routing import JsonRoute
from media_gateway.server.wire.base import Flag
from media_gateway.server.wire.contents import (
    CONTENTS_EXAMPLES,
    RECORD_EXAMPLE,
    WRITTEN_EXAMPLE,
    ContentsBody,
    Record,
    Written,
)

router = APIRouter(route_class=JsonRoute, tags=["contents"])


@router.post(
    "/v1/contents",
    operation_id="write",
    summary="Write contents or records",
    dependencies=[WRITE],
    responses=answers(Written, "They are written, durably.", *EMBEDDED, 415, 507, example=WRITTEN_EXAMPLE),
)
async def write(
    service: TheService, gateway: TheGateway, body: Annotated[ContentsBody, Body(openapi_examples=CONTENTS_EXAMPLES)]
) -> Response:
    """Write all of what is given, or on any error nothing; what has a key that is there already replaces that record."""
    _check_size(body, service.settings.http_max_batch)
    keys, added = await (_contents(gateway, body) if body.contents is not None else _records(gateway, body))
    return as_json({"written": added.written, "unchanged": added.unchanged, "keys": keys})


@router.get(
    "/v1/contents/{key}",
    operation_id="read",
    summary="Read a record",
    dependencies=[READ],
    responses=answers(Record, "The record.", *STORED, 404, example=RECORD_EXAMPLE),
)
async def read(
    gateway: TheGateway,
    key: TheKey,
    vector: Annotated[Flag, Query(description="Give its vector too.")] = False,  # noqa: FBT002  a query's
) -> Response:
    """Return what is stored under *key*."""
    record = await gateway.get(key)
    if record is None:
        raise NotFoundError(key)
    shown: dict[str, Any] = {"key": record.key, "metadata": dict(record.metadata)}
    if vector:
        shown["vector"] = record.vector.tolist()
    return as_json(shown)


@router.delete(
    "/v1/contents/{key}",
    operation_id="remove",
    summary="Remove a record",
    dependencies=[WRITE],
    status_code=204,
    responses=answers(None, "It is removed.", *STORED, 404, 507, status=204),
)
async def remove(gateway: TheGateway, key: TheKey) -> Response:
    """Remove what is stored under *key*."""
    if not await gateway.remove([key]):
        raise NotFoundError(key)
    return Response(status_code=204)


def _check_size(body: ContentsBody, most: int) -> None:
    given = body.contents if body.contents is not None else body.records
    if given is None or (body.contents is not None and body.records is not None):
        raise InvalidRequestError(
            f"the body has {'neither' if given is None else 'both'} of contents and records; expected one of them",
            field="contents",
            expected="contents, or records",
        )
    if len(given) > most:
        raise InvalidRequestError(
            f"the body brings {len(given):,} entries; this service takes at most {most:,} at once, or what "
            "RUVECTOR_HTTP_MAX_BATCH says, so send them in parts",
            field="contents",
            given=len(given),
            expected=most,
        )


async def _contents(gateway: Gateway, body: ContentsBody) -> tuple[list[str], Added]:
    def made() -> list[MediaContent]:
        return [MediaContent.from_mapping(content.model_dump()) for content in body.contents or ()]

    contents = await anyio.to_thread.run_sync(made)
    return [content.key for content in contents], await gateway.add(contents)


async def _records(gateway: Gateway, body: ContentsBody) -> tuple[list[str], Added]:
    records = [
        # A record's vector may be a list here; it is checked and brought into its form off the event loop.
        ContentVector(key=record.key, vector=record.vector, metadata=record.metadata)  # pyright: ignore[reportArgumentType]
        for record in body.records or ()
    ]
    return [record.key for record in records], await gateway.add_vectors(records)
