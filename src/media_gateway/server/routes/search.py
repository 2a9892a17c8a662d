"""Searching: by text or vector, and by what is like a record."""

import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response

from media_gateway.contracts import Explains
from media_gateway.errors import InvalidRequestError, UnsupportedError
from media_gateway.filter_json import condition_from_json, condition_from_text
from media_gateway.filters import Condition
from media_gateway.gateway import Gateway
from media_gateway.interpreting import Interpreted, interpreted, popular
from media_gateway.models import Explanation, HybridWeights, SearchRequest, SearchResult
from media_gateway.server.answering import TheGateway, TheKey, TheService, as_json, checked_k, found_as_json
from media_gateway.server.auth import READ
from media_gateway.server.documentation import EMBEDDED, STORED, answers
from media_gateway.server.routing import JsonRoute
from media_gateway.server.wire.base import Flag
from media_gateway.server.wire.search import FOUND_EXAMPLE, SEARCH_EXAMPLES, Found, SearchBody, SimilarQuery
from media_gateway.validation import checked_search_text

router = APIRouter(route_class=JsonRoute, tags=["search"], dependencies=[READ])


@router.post(
    "/v1/search",
    operation_id="search",
    summary="Find records by text or vector",
    responses=answers(Found, "The hits, best first.", *EMBEDDED, 415, example=FOUND_EXAMPLE),
)
async def search(
    service: TheService,
    gateway: TheGateway,
    body: Annotated[SearchBody, Body(openapi_examples=SEARCH_EXAMPLES)],
    vector: Annotated[Flag, Query(description="Give the vectors of the hits too.")] = False,  # noqa: FBT002  a query's
) -> Response:
    """Return the records that answer a text, or that are nearest to a vector, and that pass the filter."""
    _check_together(body)
    k = checked_k(body.k, service.settings.http_max_k)
    where = None if body.where is None else condition_from_json(body.where)
    named = _interpreted(body, where)
    if named is not None:
        body, where = body.model_copy(update={"text": named.text}), named.where
    began = time.perf_counter()
    popularly = None
    if named is not None and named.is_filter_alone and body.min_score is None:
        popularly = await popular(gateway, where, k=k, user=body.user)
    result = popularly or await _found(gateway, body, k, where)
    milliseconds = (time.perf_counter() - began) * 1000
    answer = await found_as_json(gateway.store, result, milliseconds, with_vectors=vector)
    answer["ordered_by"] = "popularity" if popularly is not None else "score"
    if body.explain and popularly is None:
        answer["explanation"] = asdict(await _explained(gateway, body, k, where))
    return as_json(answer if named is None else answer | named.as_json())


def _interpreted(body: SearchBody, where: Condition | None) -> Interpreted | None:
    """Return what *body* asks for where its words may name filters beside *where*, None where they may not."""
    if not body.interpret or body.text is None:
        return None
    return interpreted(body.text, where, keep=body.keep)


@router.get(
    "/v1/contents/{key}/similar",
    operation_id="similar",
    summary="Find what is like a record",
    responses=answers(Found, "The nearest records, best first.", *STORED, 404, example=FOUND_EXAMPLE),
)
async def similar(
    service: TheService, gateway: TheGateway, key: TheKey, query: Annotated[SimilarQuery, Query()]
) -> Response:
    """Return the records nearest to the record *key*, itself left out."""
    where = None if query.where is None else condition_from_text(query.where)
    began = time.perf_counter()
    result = await gateway.similar(
        key,
        k=checked_k(query.k, service.settings.http_max_k),
        where=where,
        min_score=query.min_score,
        exact=query.exact,
        user=query.user,
    )
    milliseconds = (time.perf_counter() - began) * 1000
    return as_json(await found_as_json(gateway.store, result, milliseconds, with_vectors=query.vector))


def _check_together(body: SearchBody) -> None:
    """Raise InvalidRequestError where entries do not go together."""
    if body.interpret and body.text is None:
        raise _contradiction("interpret", "interpret is given without a text", "a text to interpret")
    if body.keep and not body.interpret:
        raise _contradiction("keep", "keep is given without interpret", "both, or neither")
    if (body.text is None) == (body.vector is None):
        given = "neither" if body.text is None else "both"
        raise _contradiction("text", f"the body has {given} of text and vector", "one of them")
    if body.vector is not None and body.mode != "meaning":
        raise _contradiction("mode", f"mode is {body.mode!r} with a vector", "a text, or the mode 'meaning'")
    if body.weights is not None and body.mode != "hybrid":
        raise _contradiction("weights", f"weights are given with mode {body.mode!r}", "them with 'hybrid' only")


def _contradiction(field: str, given: str, expected: str) -> InvalidRequestError:
    return InvalidRequestError(f"{given}; expected {expected}", field=field, given=given, expected=expected)


async def _found(gateway: Gateway, body: SearchBody, k: int, where: Condition | None) -> SearchResult:
    wanted: dict[str, Any] = {
        "k": k,
        "where": where,
        "min_score": body.min_score,
        "exact": body.exact,
        "user": body.user,
    }
    if body.vector is not None:
        return await gateway.search_vector(body.vector, **wanted)
    return await gateway.search(body.text or "", mode=body.mode, weights=_weights(body), **wanted)


def _weights(body: SearchBody) -> HybridWeights | None:
    return None if body.weights is None else HybridWeights(text=body.weights.text, vector=body.weights.vector)


async def _explained(gateway: Gateway, body: SearchBody, k: int, where: Condition | None) -> Explanation:
    store = gateway.store
    if not isinstance(store, Explains) or body.mode == "words":
        raise UnsupportedError(
            "this search cannot be explained here; leave explain out", feature="explain", store=type(store).__name__
        )
    vector: Any = body.vector
    if body.text is not None:
        vector = await gateway.embed(checked_search_text(body.text, body.mode)[0] or body.text)
    return await store.explain(
        SearchRequest(
            vector=vector,
            text=body.text if body.mode == "hybrid" else None,
            weights=_weights(body),
            k=k,
            where=where,
            min_score=body.min_score,
            exact=body.exact,
            user=body.user,
        )
    )
