"""Problem documents: always JSON, always of one form, and without what callers must not read."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_gateway import errors
from media_gateway.errors import MediaGatewayError
from media_gateway.server.findings import problem_of_findings
from media_gateway.server.problems import Problem, request_id
from media_gateway.server.refusals import problem_of

SECRET = "app@db.internal:5432/films"
NOBODY_FORESAW = {MediaGatewayError, errors.BackupError, errors.KeysFileError, errors.EmbeddingError}
"""Those that no request can bring about, or that are handled elsewhere."""

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(detail=st.text(st.characters(exclude_categories=())), given=anything, expected=anything)
def test_whatever_was_given_the_document_is_short_json(detail: str, given: Any, expected: Any) -> None:
    body = Problem(status=422, code="x", detail=detail, given=given, expected=expected).body()
    document = json.loads(body)
    assert document["status"] == 422
    assert len(body) < 100_000
    assert all(not isinstance(value, float) or math.isfinite(value) for value in document.values())


def test_it_bears_the_id_of_the_request() -> None:
    token = request_id.set("abc")
    try:
        assert Problem(status=404, code="not-found", detail="no").as_json() == {
            "type": "urn:media-gateway:problem:not-found",
            "title": "Not Found",
            "status": 404,
            "detail": "no",
            "code": "not-found",
            "request_id": "abc",
        }
    finally:
        request_id.reset(token)


def _of(kind: type[MediaGatewayError]) -> MediaGatewayError:
    error = kind.__new__(kind)
    Exception.__init__(error, f"{SECRET} refuses")
    vars(error).update(field="k", given=1, expected=2, key="movie-1", feature="words", store="memory")
    return error


def _kinds(root: type[MediaGatewayError]) -> list[type[MediaGatewayError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _kinds(child))]


@pytest.mark.parametrize("kind", _kinds(MediaGatewayError))
def test_every_error_has_its_status_and_weather_names_no_server(kind: type[MediaGatewayError]) -> None:
    problem = problem_of(_of(kind))
    assert (problem.status == 500) == (kind in NOBODY_FORESAW)
    if problem.status >= 500:
        assert SECRET not in problem.body().decode()
    if problem.status == 503:
        assert problem.headers["Retry-After"]
    if issubclass(kind, errors.InvalidInputError):
        assert (problem.status, problem.field, problem.given, problem.expected) == (422, "k", 1, 2)


@pytest.mark.parametrize(
    ("finding", "status", "detail"),
    [
        (
            {"type": "missing", "loc": ("body", "records", 3, "key"), "msg": "Field required", "input": {}},
            422,
            "the body has no records[3].key; give one",
        ),
        (
            {"type": "int_type", "loc": ("query", "k"), "msg": "Input should be a valid integer", "input": "x"},
            422,
            "k in the query is 'x'; expected integer",
        ),
        (
            {"type": "extra_forbidden", "loc": ("body", "typo"), "msg": "Extra inputs are not permitted", "input": 1},
            422,
            "the body has an entry typo, which is not known; leave it out",
        ),
        (
            {
                "type": "json_invalid",
                "loc": ("body", 7),
                "msg": "JSON decode error",
                "ctx": {"error": "unexpected end"},
            },
            400,
            "the body is not JSON: unexpected end at character 7",
        ),
    ],
)
def test_a_finding_becomes_one_sentence(finding: dict[str, Any], status: int, detail: str) -> None:
    problem = problem_of_findings([finding])
    assert (problem.status, problem.detail) == (status, detail)
