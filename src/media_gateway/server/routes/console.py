"""The console: the web page at `/`, its styles and scripts."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from media_gateway.server.problems import Problem, ProblemError
from media_gateway.server.route_table import CONSOLE, CONSOLE_FILES

router = APIRouter(include_in_schema=False)

_INDEX: Final = "index.html"
_GENRES: Final = "genres.json"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, kw_only=True)
class _File:
    content: bytes
    kind: str
    tag: str


def _read(name: str, content: bytes) -> _File:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content=content, kind=_TYPES[PurePosixPath(name).suffix], tag=tag)


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from _walk(entry, name + "/")
        elif PurePosixPath(name).suffix in _TYPES:
            yield name, entry.read_bytes()


def _all_files() -> Mapping[str, _File]:
    package = files("media_gateway")
    found = {name: _read(name, content) for name, content in _walk(package / "server" / "console")}
    found[_GENRES] = _read(_GENRES, (package / "data" / _GENRES).read_bytes())
    return found


_FILES: Final = _all_files()
"""Read once, so that no name in an address ever reaches the file system."""


@router.get(CONSOLE)
@router.head(CONSOLE)
async def page(request: Request) -> Response:
    """Return the page."""
    return _answer(request, _FILES[_INDEX])


@router.get(CONSOLE_FILES)
@router.head(CONSOLE_FILES)
async def part(request: Request, name: str) -> Response:
    """Return one of the page's files."""
    found = _FILES.get(name)
    if found is None or name == _INDEX:
        raise ProblemError(Problem(status=404, code="not-found", detail="the console has no such file"))
    return _answer(request, found)


def _answer(request: Request, file: _File) -> Response:
    headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.kind, headers=headers)
