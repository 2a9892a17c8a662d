"""What the OpenAPI document says besides what routes say themselves: every answer that may come, with an example."""

from collections.abc import Mapping
from typing import Any, Final, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from media_gateway.server.keys import Scope
from media_gateway.server.problems import MEDIA_TYPE, TYPE_PREFIX
from media_gateway.server.route_table import RouteTable
from media_gateway.server.wire.filters import FILTER_SCHEMA, STANDS_FOR

DESCRIPTION: Final = """Find films and series by meaning, by words, or both.

Errors are problem documents (RFC 9457): `code` is for programs, `detail` is one sentence for people, and `request_id`
finds the request in the service's log. Keys go into `Authorization: Bearer KEY` or `X-API-Key: KEY`.
"""

_PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "properties": {
        "type": {"type": "string", "description": f"{TYPE_PREFIX} and the code."},
        "title": {"type": "string", "description": "The same for all of its kind."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "One sentence about this request."},
        "code": {"type": "string", "description": "What to branch on."},
        "field": {"type": "string", "description": "The entry that it is about, where there is one."},
        "given": {"description": "What was given, shortened."},
        "expected": {"description": "What was expected."},
        "request_id": {"type": ["string", "null"], "description": "What the service's log calls the request."},
    },
    "required": ["type", "title", "status", "detail", "code", "request_id"],
}

# By status: code, title, when it comes, and an example of its sentence.
_PROBLEMS: Final[Mapping[int, tuple[str, str, str, str]]] = {
    400: (
        "invalid-json",
        "Bad Request",
        "The request cannot be read.",
        "the body is not JSON: unexpected character at 17",
    ),
    401: ("unauthorized", "Unauthorized", "A key is needed, or the one given is unknown.", "this needs an API key"),
    403: (
        "forbidden",
        "Forbidden",
        "The key's scope does not reach so far.",
        "the key has the scope read; this needs write",
    ),
    404: ("not-found", "Not Found", "There is no such record.", "no record has the key 'movie-0'"),
    408: ("body-timeout", "Request Timeout", "The body came too slowly.", "12 bytes of the body came within 30 s"),
    409: (
        "unsupported",
        "Conflict",
        "The collection, as it is, cannot do this.",
        "the memory store has no text search; use the postgres backend",
    ),
    413: (
        "body-too-large",
        "Content Too Large",
        "The body has too many bytes.",
        "the body has more than 8,388,608 bytes",
    ),
    415: (
        "not-json",
        "Unsupported Media Type",
        "The body is not said to be JSON.",
        "send JSON in UTF-8 as application/json",
    ),
    421: (
        "wrong-host",
        "Misdirected Request",
        "The Host header names another service.",
        "the service is not known as 'a.b'",
    ),
    422: ("invalid-request", "Unprocessable Content", "An entry cannot be taken.", "k is 0; expected 1 or more"),
    429: (
        "too-many-requests",
        "Too Many Requests",
        "The key asks too often.",
        "the key may make 100 requests a second",
    ),
    500: (
        "internal-error",
        "Internal Server Error",
        "A fault of the service.",
        "something failed here that should not have",
    ),
    502: ("embedding-failed", "Bad Gateway", "The embedding service cannot be used.", "the embedding service refused"),
    503: (
        "store-unavailable",
        "Service Unavailable",
        "Not now: see Retry-After.",
        "the vector store cannot be reached",
    ),
    504: ("request-timeout", "Gateway Timeout", "It took too long.", "the request was worked on for 30 s and given up"),
    507: ("store-full", "Insufficient Storage", "There is no space left.", "the vector store has no space left"),
}
OPEN: Final = (400, 408, 413, 421, 503)
"""What any address may answer, also without a key."""
KEYED: Final = (*OPEN, 401, 403, 422, 429, 500, 504)
"""What any address may answer that looks at keys."""
STORED: Final = (*KEYED, 409)
"""What any address may answer that asks the store."""
EMBEDDED: Final = (*STORED, 502)
"""What any address may answer that embeds texts."""


def answers(
    model: type[BaseModel] | None, description: str, *problems: int, example: object = None, status: int = 200
) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for a route: one good answer, and *problems* by their statuses."""
    good: dict[str, Any] = {"description": description}
    if model is not None:
        good["model"] = model
        good["content"] = {"application/json": {"example": example}}
    return {status: good, **{status: _problem(status) for status in sorted(set(problems))}}


def _problem(status: int) -> dict[str, Any]:
    code, title, when, detail = _PROBLEMS[status]
    example = {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": "0198f2d1c4b87a10",
    }
    schema = {"$ref": "#/components/schemas/Problem"}
    described: dict[str, Any] = {
        "description": f"{title}. {when}",
        "content": {MEDIA_TYPE: {"schema": schema, "example": example}},
    }
    if status in {429, 503}:
        described["headers"] = {
            "Retry-After": {"description": "Seconds after which to ask again.", "schema": {"type": "string"}}
        }
    return described


def _open_reads(made: dict[str, Any], routes: RouteTable) -> None:
    """Say in the document *made* that nobody needs a key to read."""
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            needs = routes.find({"path": path, "method": method.upper()}).needs
            if "security" in operation and needs == Scope.read:
                operation["security"] = [{}, *operation["security"]]


def _linked(part: Any) -> Any:
    """Return *part* of a document with references in the place of what stands for them."""
    if isinstance(part, list):
        items = cast("list[Any]", part)
        return [_linked(item) for item in items]
    if not isinstance(part, dict):
        return part
    entries = cast("dict[str, Any]", part)
    if STANDS_FOR in entries:
        return {"$ref": entries[STANDS_FOR]}
    return {name: _linked(item) for name, item in entries.items()}


def document(app: FastAPI, *, reads_are_open: bool) -> None:
    """Make *app* give its OpenAPI document with the schemas that no model stands for, and what needs no key."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(Filter=FILTER_SCHEMA, Problem=_PROBLEM)
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            if reads_are_open:
                _open_reads(made, RouteTable(app))
            app.openapi_schema = linked = _linked(made)
            return linked
        return app.openapi_schema

    app.openapi = openapi
