"""The documents as tests read them: their blocks of code, and their commands as a shell would take them."""

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TUTORIAL = ROOT / "docs" / "tutorial.md"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: its *language*, empty where none is named, and its *text*."""

    language: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One command of a shell block: its *words*, and the *variables* that are set for it."""

    words: list[str]
    variables: dict[str, str]


def blocks(path: Path, language: str | None = None) -> list[Block]:
    """Return the blocks of *path*, those of *language* alone when it is given."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(language=name, text=text) for name, text in found if language in {None, name}]


def shell_lines(block: Block, exported: dict[str, str]) -> Iterator[Line]:
    """Yield the commands of a shell block; what it exports is added to *exported*."""
    for text in block.text.splitlines():
        words = shlex.split(text, comments=True)
        variables = dict(exported)
        is_export = words[:1] == ["export"]
        words = words[is_export:]
        while words and (match := re.fullmatch(r"([A-Z_]+)=(.*)", words[0])):
            variables[match[1]] = match[2]
            words = words[1:]
        if is_export:
            exported.update(variables)
        elif words:
            yield Line(words=words, variables=variables)


async def run_python(block: Block, names: dict[str, Any]) -> None:
    """Run *block* as a notebook's cell: with `await` at its top level, and the *names* of those before it."""
    code = compile(block.text, "<document>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    done = eval(code, names)
    if inspect.isawaitable(done):
        await done
