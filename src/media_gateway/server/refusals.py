"""From what went wrong to the problem document that tells it: our errors, bad requests, unknown addresses."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from media_gateway import errors
from media_gateway.errors import MediaGatewayError
from media_gateway.server.exchange import exchange_of
from media_gateway.server.findings import problem_of_findings
from media_gateway.server.problems import Problem, ProblemError
from media_gateway.server.repeats import Repeats
from media_gateway.server.route_table import RouteTable

RETRY_SECONDS: Final = "1"
"""What Retry-After says while the store is away: it is tried again about that often."""

_AWAY: Final = (
    "the vector store cannot be reached, and nothing was changed; it is tried again by itself, so ask again soon"
)
_OPERATOR: Final = "; the service's log has more, and media-gateway doctor says what to do"

_INPUT: Final[dict[type[MediaGatewayError], str]] = {
    errors.DimensionMismatchError: "dimension-mismatch",
    errors.InvalidVectorError: "invalid-vector",
    errors.InvalidKeyError: "invalid-key",
    errors.DuplicateKeyError: "duplicate-key",
    errors.InvalidMetadataError: "invalid-metadata",
    errors.InvalidContentError: "invalid-content",
    errors.InvalidFilterError: "invalid-filter",
    errors.InvalidRequestError: "invalid-request",
}

# The first that fits; messages of these may name servers, users and paths, so they are logged and not sent.
_WEATHER: Final[tuple[tuple[type[MediaGatewayError], int, str, str], ...]] = (
    (errors.AuthenticationError, 503, "store-unavailable", f"the vector store refuses the service{_OPERATOR}"),
    (errors.StoreUnavailableError, 503, "store-unavailable", _AWAY),
    (errors.StoreTimeoutError, 503, "store-timeout", "the vector store took too long; ask again, or ask for less"),
    (
        errors.OutcomeUnknownError,
        503,
        "outcome-unknown",
        "the connection was lost while writing: it is written wholly or not at all; read it, or write it again",
    ),
    (errors.StoreFullError, 507, "store-full", f"the vector store has no space left; nothing was written{_OPERATOR}"),
    (errors.StoreLockedError, 503, "store-locked", f"another process holds the vector store's file{_OPERATOR}"),
    (
        errors.EmbeddingUnavailableError,
        503,
        "embedding-unavailable",
        "the embedding service gives no answer; ask again",
    ),
    (errors.EmbeddingServiceError, 502, "embedding-failed", f"the embedding service cannot be used{_OPERATOR}"),
    (errors.EmbeddingError, 500, "embedding-failed", f"the embedding model failed{_OPERATOR}"),
    (errors.StoreError, 503, "store-unusable", f"the vector store cannot be used as it is{_OPERATOR}"),
    (errors.ServerStartError, 503, "store-unavailable", f"the vector store could not be started{_OPERATOR}"),
    (errors.SettingsError, 503, "misconfigured", f"a setting of the service cannot be used{_OPERATOR}"),
)


def problem_of(error: MediaGatewayError) -> Problem:
    """Return the problem document of *error*: 4xx for what the caller can mend, with the error's own words."""
    if isinstance(error, errors.InvalidInputError):
        code = next((code for kind, code in _INPUT.items() if isinstance(error, kind)), "invalid-request")
        return Problem(
            status=422, code=code, detail=str(error), field=error.field, given=error.given, expected=error.expected
        )
    if isinstance(error, errors.NotFoundError):
        return Problem(status=404, code="not-found", detail=str(error), field="key", given=error.key)
    if isinstance(error, errors.UnsupportedError):
        return Problem(status=409, code="unsupported", detail=str(error), given=error.feature)
    if isinstance(error, errors.ModelMismatchError):
        given, expected = str(error.given), str(error.expected)
        return Problem(status=409, code="model-mismatch", detail=str(error), given=given, expected=expected)
    if isinstance(error, errors.IndexBusyError):
        return Problem(status=409, code="index-busy", detail="another build of an index is under way; wait for it")
    for kind, status, code, detail in _WEATHER:
        if isinstance(error, kind):
            headers = {"Retry-After": RETRY_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
            return Problem(status=status, code=code, detail=detail, headers=headers)
    return unexpected()


def unexpected() -> Problem:
    """Return the problem document of an error that nobody foresaw."""
    return Problem(
        status=500,
        code="internal-error",
        detail="something failed here that should not have; the service's log tells what, under this request id",
    )


def answer_with_problems(app: FastAPI) -> None:
    """Make *app* answer with a problem document wherever it refuses or fails; `app.state.repeats` bounds its log."""
    app.state.repeats = Repeats()
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(MediaGatewayError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_findings)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_problem(_: Request, error: Any) -> Response:
    problem: Problem = error.problem
    return problem.response()


async def _on_error(request: Request, error: Any) -> Response:
    problem = problem_of(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        exchange = exchange_of(request.scope)
        exchange.code = problem.code
        repeats: Repeats = request.app.state.repeats
        name = type(error).__name__
        # An outage fails every request: what is the same for all of them is told once, and then counted.
        repeats.tell(
            (exchange.route.name, problem.code, name),
            f"{name}: {error}",
            where=f"{request.method} {exchange.route.name}",
        )
    return problem.response()


async def _on_findings(_: Request, error: Any) -> Response:
    return problem_of_findings(error.errors()).response()


async def _on_http(request: Request, error: Any) -> Response:
    raised: HTTPException = error
    where = f"{request.method} {request.url.path}"
    if raised.status_code == HTTPStatus.NOT_FOUND:
        problem = Problem(status=404, code="no-such-address", detail=f"{where} leads nowhere; see /openapi.json")
    elif raised.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        # Of a path with several routes the router names the methods of the first alone.
        allowed = ", ".join(RouteTable(request.app).methods(request.scope["path"]))
        return Problem(
            status=405,
            code="method-not-allowed",
            detail=f"{where} is not answered; this address takes {allowed}",
            given=request.method,
            expected=allowed,
            headers={"Allow": allowed},
        ).response()
    else:
        problem = Problem(status=raised.status_code, code="bad-request", detail=str(raised.detail))
    return replace(problem, headers=dict(raised.headers or {})).response()
