"""Every command helps itself: examples in its help, and `--json` for programs."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from media_gateway.cli.app import app
from tests.acceptance.command import Command


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(_commands(typer.main.get_command(app)))
JSON_ALONE = {("learn", "export")}
"""Commands that print JSON and nothing else, whatever is asked."""


def test_the_commands_are_those_of_the_documentation() -> None:
    names = {" ".join(path) for path in COMMANDS}
    assert names >= {"demo", "load", "search", "similar", "stats"}
    assert names >= {f"db {name}" for name in ("start", "stop", "status", "migrate", "url", "psql")}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_has_json_and_examples(path: tuple[str, ...]) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[path].params) != (path in JSON_ALONE)
    shown = CliRunner().invoke(app, [*path, "--help"])
    assert shown.exit_code == 0
    assert "Examples:\n    " in shown.output
    example = shown.output.partition("Examples:")[2]
    assert f"media-gateway {' '.join(path)}" in example or "media-gateway --backend" in example
    assert ("--json" in shown.output) != (path in JSON_ALONE)


def test_the_installed_command_helps_and_tells_its_version(command: Command) -> None:
    helped = command("--help")
    assert (helped.code, helped.err) == (0, "")
    assert "Examples:" in helped.out
    version = command("--version").out
    assert version.startswith("media-gateway 0.")
    module = subprocess.run(
        [sys.executable, "-m", "media_gateway", "--version"], capture_output=True, text=True, check=True
    )
    assert module.stdout == version
    assert list(command.folder.iterdir()) == []
