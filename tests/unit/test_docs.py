"""The reference pages name everything that there is: commands, options, settings, errors, public names, dependencies."""

import ast
import functools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from pydantic import AliasChoices

import media_gateway
from media_gateway import errors
from media_gateway.cli.app import app
from media_gateway.contracts import VectorStore
from media_gateway.gateway import Gateway
from media_gateway.settings import Settings

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
FROM_ELSEWHERE = {
    # Reasons that the system and PostgreSQL give, and names that are filled in.
    "No such file or directory",
    "No space left on device",
    "Read-only file system",
    "Permission denied",
    "Address already in use",
    "Connection refused",
    "permission denied to create extension",
    "media_type is",
    "RUVECTOR_BACKEND is",
    "k is",
}
COMMAND_LINE = (REFERENCE / "command-line.md").read_text()


def _commands(command: typer.core.TyperCommand | typer.core.TyperGroup, name: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each command that does something, with its options."""
    parts = getattr(command, "commands", {})
    options = {
        option
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("-")
    }
    if options or not parts:
        yield name, options
    for part in parts:
        yield from _commands(parts[part], f"{name} {part}")


COMMANDS = dict(_commands(typer.main.get_command(app), "media-gateway"))


def test_every_command_has_its_section_and_no_other_has():
    assert re.findall(r"^## (media-gateway.*)$", COMMAND_LINE, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_names_every_option_of_its_command_and_none_that_is_not_there(name: str):
    section = COMMAND_LINE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    prose = re.sub(r"```.*?```", "", section, flags=re.DOTALL)
    named = set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", prose))
    # `similar` says which options of `search` it lacks, psql has its own, and every command has help.
    beside = {"--help", "-h"} | {"media-gateway similar": {"--vector", "--vector-json"}}.get(name, set())
    beside |= {"-d"} if name == "media-gateway db psql" else set()
    assert named - beside == COMMANDS[name]
    assert name in section.partition("```bash")[2]


def test_every_setting_is_explained_under_all_its_names_with_its_default():
    text = (REFERENCE / "settings.md").read_text()
    rows = {cells[1]: cells for line in text.splitlines() if (cells := _cells(line))}
    assert set(rows) == {f"`{name}`" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        environment, _, default, _ = rows[f"`{name}`"]
        assert isinstance(field.validation_alias, AliasChoices)
        for alias in field.validation_alias.choices:
            assert f"`{alias}`" in environment
        assert default == ("-" if field.default is None else f"`{_written(field.default)}`"), name


def test_every_error_is_explained_with_its_fields():
    text = (REFERENCE / "errors.md").read_text()
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.MediaGatewayError)
    }
    assert set(re.findall(r"^\| `(\w+Error)` \|", text, re.MULTILINE)) == classes
    tree = text.partition("The tree:")[2].partition("## ")[0]
    assert set(re.findall(r"\w+Error\b", tree)) == classes | {"ValueError", "LookupError"}


def test_every_public_name_is_in_the_reference():
    text = (REFERENCE / "python.md").read_text()
    for name in media_gateway.__all__:
        assert re.search(rf"`{name}\b", text), name


@pytest.mark.parametrize("face", [Gateway, VectorStore])
def test_every_method_is_in_the_reference(face: type):
    section = (REFERENCE / "python.md").read_text().partition(f"\n## {face.__name__}\n")[2].partition("\n## ")[0]
    methods = {name for name in vars(face) if not name.startswith("_")}
    assert set(re.findall(r"\*\*`(\w+)", section)) == methods


@pytest.mark.parametrize(("page", "fewest"), [("troubleshooting.md", 61), ("move-to-postgres.md", 14), ("tls.md", 8)])
def test_a_table_of_what_went_wrong_quotes_sentences_that_there_are(page: str, fewest: int):
    ours = _literals()
    text = (ROOT / "docs" / "howto" / page).read_text()
    sentences = [cells[0] for line in text.splitlines() if (cells := _cells(line))]
    quoted = [
        part.strip(" ,;:()")
        for cell in sentences
        for quote in re.findall(r'"([^"]+)"', cell)
        for part in quote.split("...")
    ]
    assert len(quoted) >= fewest
    assert [part for part in quoted if part not in ours and part not in FROM_ELSEWHERE] == []


@functools.cache
def _literals() -> str:
    """Return the texts of the program, a line each; what is filled into them is left out."""
    return "\n".join(text for path in (ROOT / "src").rglob("*.py") for text in _literals_of(path))


def _literals_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "\0".join(part.value for part in node.values if isinstance(part, ast.Constant))


def test_every_dependency_has_its_line():
    given = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*given["dependencies"], *(name for extra in given["optional-dependencies"].values() for name in extra)]
    names = {re.split(r"[\[<>=~! ;]", requirement)[0] for requirement in wanted} - {"media-gateway"}
    text = (ROOT / "docs" / "dependencies.md").read_text()
    listed = {name for line in text.splitlines() if (cells := _cells(line)) for name in re.findall(r"[\w-]+", cells[0])}
    assert names <= listed, names - listed


def _cells(line: str) -> list[str]:
    """Return the cells of a table's row; headers and rulers are none."""
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    return [] if len(cells) < 2 or cells[0] in {"environment", "package"} or set(cells[0]) <= {"-"} else cells


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
