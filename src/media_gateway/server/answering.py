"""Making answers: plain values to JSON bytes, with no model in between."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Path, Request
from starlette.responses import Response

from media_gateway.contracts import VectorStore
from media_gateway.errors import InvalidRequestError
from media_gateway.gateway import Gateway
from media_gateway.json_values import dump
from media_gateway.models import MAX_KEY_BYTES, Hit, SearchResult
from media_gateway.server.routing import decoded_key
from media_gateway.server.service import Service
from media_gateway.server.wire.base import EXAMPLE_KEY


async def service_of(request: Request) -> Service:
    """Return the service that answers *request*."""
    service: Service = request.app.state.service
    return service


async def gateway_of(request: Request) -> Gateway:
    """Return the open gateway; raises what keeps it from being open."""
    return (await service_of(request)).gateway


async def key_of(
    key: Annotated[
        str,
        Path(
            description="A record's key, percent-encoded; it may be any text.",
            max_length=3 * MAX_KEY_BYTES,
            examples=[EXAMPLE_KEY],
        ),
    ],
) -> str:
    """Return the key that the address names."""
    return decoded_key(key)


TheService = Annotated[Service, Depends(service_of)]
TheGateway = Annotated[Gateway, Depends(gateway_of)]
TheKey = Annotated[str, Depends(key_of)]


def as_json(value: Any, status: int = 200) -> Response:
    """Return *value*, plain JSON values, as an answer."""
    return Response(dump(value), status_code=status, media_type="application/json")


def checked_k(k: int, most: int) -> int:
    """Return *k*; raises InvalidRequestError when the service does not allow so many."""
    if k > most:
        raise InvalidRequestError(
            f"k is {k:,}; this service gives at most {most:,} hits, or what RUVECTOR_HTTP_MAX_K says",
            field="k",
            given=k,
            expected=most,
        )
    return k


async def found_as_json(
    store: VectorStore, result: SearchResult, milliseconds: float, *, with_vectors: bool
) -> dict[str, Any]:
    """Return *result* as it is answered; *with_vectors* asks *store* for those of the hits."""
    hits = [_hit(hit) for hit in result.hits]
    if with_vectors:
        await _add_vectors(store, hits)
    return {
        "hits": hits,
        "exact": result.exact,
        "exhausted": result.exhausted,
        "milliseconds": round(milliseconds, 3),
    }


def _hit(hit: Hit) -> dict[str, Any]:
    shown: dict[str, Any] = {"key": hit.key, "score": hit.score, "metadata": hit.metadata}
    if hit.matched is not None:
        shown["matched"] = hit.matched
    if hit.rank_score is not None:
        shown["rank_score"] = hit.rank_score
    return shown


async def _add_vectors(store: VectorStore, hits: Sequence[dict[str, Any]]) -> None:
    records = await store.get([hit["key"] for hit in hits])
    for hit, record in zip(hits, records, strict=True):
        if record is not None:
            hit["vector"] = record.vector.tolist()
