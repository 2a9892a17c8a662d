"""Every alert has its page, and every command of a page is one that there is."""

import re
import shlex
from collections.abc import Iterator

import pytest
import typer

from media_gateway.cli.app import app
from tests.documents import ROOT

PAGES = ROOT / "docs" / "runbooks"
ALERTS = sorted(
    set(re.findall(r"^ +- alert: (\w+)$", (ROOT / "deploy/prometheus/rules.yml").read_text(), re.MULTILINE))
)
SERVICES = re.findall(
    r"^  ([a-z-]+):$", (ROOT / "docker-compose.yml").read_text().partition("\nservices:\n")[2], re.MULTILINE
)
HEADINGS = ["What it means", "How bad", "First look", "What to do", "When to roll back", "How to see that it is over"]
WRITTEN = [*sorted(PAGES.glob("*.md")), ROOT / "docs/howto/deploy.md"]
COMMAND = typer.main.get_command(app)
_UsageError = typer.BadParameter.__base__


def test_every_alert_has_its_page_and_no_page_is_left_over():
    assert {page.stem for page in PAGES.glob("*.md")} == {*ALERTS, "README"}
    index = (PAGES / "README.md").read_text()
    assert sorted(re.findall(r"^\| \[(\w+)\]\(\1\.md\) \|", index, re.MULTILINE)) == ALERTS


@pytest.mark.parametrize("alert", ALERTS)
def test_a_page_says_what_whoever_is_paged_must_know(alert: str):
    text = (PAGES / f"{alert}.md").read_text()
    assert text.startswith(f"# {alert}\n\n")
    assert re.match(r"(Critical|Warning)\b", text.splitlines()[2])
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_the_commands_of_a_page_are_there(page: str):
    lines = list(_commands(page))
    assert lines
    for words in lines:
        _check(words)


def test_a_wrong_command_would_be_noticed():
    for line in ("media-gateway docter", "media-gateway index build --sort", "docker compose restart gateway"):
        with pytest.raises((_UsageError, AssertionError)):
            _check(line.split())


def _commands(page) -> Iterator[list[str]]:
    """Yield the commands of blocks, and those that stand in the text, of ours and of Compose."""
    text = page.read_text()
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for kind, block in fenced if kind in {"", "bash"} for line in block.splitlines()]
    lines += re.findall(r"`((?:media-gateway|docker compose) [^`]+)`", text)
    for line in lines:
        for part in re.split(r" && | \| |; ", re.sub(r"^[\d* ]+", "", line)):
            words = shlex.split(part)
            if words[:1] == ["media-gateway"] or words[:2] == ["docker", "compose"]:
                yield words


def _check(words: list[str]) -> None:
    if words[0] == "docker":
        _check_compose(words[2:])
    else:
        _check_ours(words[1:])


def _check_compose(words: list[str]) -> None:
    """Check the services, and what is given to them of our own commands."""
    verb, *rest = words
    assert verb in {"up", "down", "ps", "logs", "restart", "exec", "run", "cp"}, verb
    takes_value = {"--since", "--entrypoint"}
    named: list[str] = []
    entrypoint = None
    while rest:
        word, *rest = rest
        if word in takes_value:
            entrypoint = rest[0] if word == "--entrypoint" else entrypoint
            rest = rest[1:]
        elif not word.startswith("-"):
            named.append(word)
            if verb in {"exec", "run"}:
                break
    services = [name.partition(":")[0] for name in named[:1]]
    assert set(services) <= set(SERVICES), services
    if verb == "exec" and rest[:1] == ["media-gateway"]:
        _check_ours(rest[1:])
    elif verb == "run" and entrypoint is None and services == ["owner"] and rest:
        _check_ours(rest)


def _check_ours(words: list[str]) -> None:
    """Let the command line read *words* as far as it does before anything runs."""
    command, name, rest = COMMAND, "media-gateway", list(words)
    while (commands := getattr(command, "commands", {})) and not _is_itself_one(command, rest):
        assert rest, f"{name} needs a command"
        name = f"{name} {rest[0]}"
        assert rest[0] in commands, f"there is no {name}"
        command, rest = commands[rest[0]], rest[1:]
    filled = [{"N": "1", "D": "1"}.get(word, word) for word in rest]
    command.make_context(name, filled)


def _is_itself_one(group: typer.core.TyperGroup, rest: list[str]) -> bool:
    """Return whether the group is given as a command, as `backup` beside `backup check`."""
    return group.invoke_without_command and (not rest or rest[0].startswith("-"))
