"""What pydantic finds wrong with a request, as one problem document of one sentence."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from media_gateway.errors import shown
from media_gateway.server.problems import Problem

_KNOWN_FROM: Final = {"query": "the query", "path": "the address", "header": "the headers", "body": "the body"}


def problem_of_findings(findings: Sequence[Mapping[str, Any]]) -> Problem:
    """Return a problem about the first of *findings*, which says how many more there are."""
    first = findings[0]
    if first["type"] == "json_invalid":
        return _not_json(first)
    place, *path = first["loc"]
    where = _KNOWN_FROM.get(str(place), str(place))
    name = _name(path)
    more = f" ({len(findings) - 1} more like this)" if len(findings) > 1 else ""
    expected = _expected(first)
    if first["type"] == "missing":
        what = f"{where} has no {name}" if name else f"{where} is missing"
        return Problem(
            status=422, code="invalid-request", detail=f"{what}; give one{more}", field=name or None, expected=expected
        )
    if first["type"] == "extra_forbidden":
        return Problem(
            status=422,
            code="invalid-request",
            detail=f"{where} has an entry {name}, which is not known; leave it out{more}",
            field=name,
            expected="no such entry",
        )
    subject = f"{name} in {where}" if name else where
    given = first.get("input")
    return Problem(
        status=422,
        code="invalid-request",
        detail=f"{subject} is {shown(given)}; expected {expected}{more}",
        field=name or None,
        given=given,
        expected=expected,
    )


def _not_json(finding: Mapping[str, Any]) -> Problem:
    position = finding["loc"][-1]
    context: Mapping[str, Any] = finding.get("ctx") or {}
    reason = context.get("error", "")
    return Problem(
        status=400,
        code="invalid-json",
        detail=f"the body is not JSON: {reason} at character {position}",
        expected="JSON (RFC 8259) in UTF-8",
    )


def _name(path: Sequence[object]) -> str:
    """Return how a request's author would write *path*: records[3].vector."""
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name


def _expected(finding: Mapping[str, Any]) -> str:
    """Return what was expected, from pydantic's own words: "Input should be less than 5" says "less than 5"."""
    context: Mapping[str, Any] = finding.get("ctx") or {}
    if finding["type"] == "value_error":
        return str(context.get("error") or finding["msg"]).removeprefix("Value error, ")
    if finding["type"] == "missing":
        return "a value"
    words = str(finding["msg"])
    for start in ("Input should be ", "Input should have ", "Input should "):
        if words.startswith(start):
            return words.removeprefix(start).removeprefix("a valid ")
    return words[0].lower() + words[1:]
