"""Problem documents (RFC 9457): how the service says that it could not do what was asked.

Each has a `type` and a `code` to branch on, a `title` that is the same for all of its kind, and in `detail` one
sentence about this request; `given` and `expected` hold what that sentence speaks of, where there is such a thing.
"""

import math
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from dataclasses import field as entry
from http import HTTPStatus
from typing import Any, Final, cast

import orjson
from starlette.responses import Response

from media_gateway.errors import shown

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:media-gateway:problem:"
"""What stands before a problem's code in its type: a name, since no address can be promised for a private service."""

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered, which its problem documents and log lines bear."""

_TITLES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Those of RFC 9110 that older Pythons call otherwise."""
_MOST_CHARACTERS: Final = 300
_MOST_ITEMS: Final = 20


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem document: HTTP *status*, a *code* such as `not-found`, and one sentence, *detail*.

    *given* and *expected* may be any values; what is not JSON is written as text, and what is long is cut. *field* is
    the name of the entry that it is about. *headers* are the answer's further ones, such as Retry-After.
    """

    status: int
    code: str
    detail: str
    title: str | None = None
    field: str | None = None
    given: Any = None
    expected: Any = None
    headers: Mapping[str, str] = entry(default_factory=dict[str, str])

    def as_json(self) -> dict[str, Any]:
        """Return the document as a JSON object, with the id of the present request."""
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.title or _TITLES.get(self.status) or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": _text(self.detail, 10 * _MOST_CHARACTERS),
            "code": self.code,
        }
        if self.field is not None:
            document["field"] = _text(self.field)
        if self.given is not None:
            document["given"] = _plain(self.given)
        if self.expected is not None:
            document["expected"] = _plain(self.expected)
        document["request_id"] = request_id.get()
        return document

    def body(self) -> bytes:
        """Return the document as bytes of JSON."""
        return orjson.dumps(self.as_json())

    def response(self, further: Mapping[str, Any] | None = None) -> Response:
        """Return the document, with *further* entries, as an answer; it is an ASGI application, which a middleware awaits."""
        body = self.body() if further is None else orjson.dumps({**self.as_json(), **further})
        return Response(body, status_code=self.status, media_type=MEDIA_TYPE, headers=dict(self.headers))


class ProblemError(Exception):
    """Raised while a request is answered, to answer with *problem*."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def _text(value: str, most: int = _MOST_CHARACTERS) -> str:
    """Return *value* cut to *most* characters, in UTF-8: a lone surrogate becomes a backslash and its number."""
    text = value if len(value) <= most else value[: most - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: object) -> Any:
    """Return *value* as a short JSON value; numbers that JSON has no place for are written as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(2**53) <= value <= 2**53 else _text(shown(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _text(value)
    quoted = _text(shown(value, _MOST_CHARACTERS))
    if not isinstance(value, list | tuple):
        return quoted
    items = cast("Sequence[object]", value)
    is_short = len(items) <= _MOST_ITEMS and all(isinstance(item, bool | int | float | str) for item in items)
    return [_plain(item) for item in items] if is_short else quoted
