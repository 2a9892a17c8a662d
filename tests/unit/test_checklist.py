"""The checklist and the security page name tests, commands and pages that there are."""

import re
from pathlib import Path

import pytest

from media_gateway.cli.app import app
from tests.unit.test_docs import _commands, typer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "checklist.md", ROOT / "SECURITY.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page: Path):
    text = page.read_text()
    paths = re.findall(r"tests/[\w/.]+[\w/]", text)
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(paths) >= 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [link for link in links if not (page.parent / link).exists()] == []
    known = {name.removeprefix("media-gateway ") for name, _ in _commands(typer.main.get_command(app), "media-gateway")}
    groups = {name.split()[0] for name in known if " " in name}
    given = re.findall(r"media-gateway ([a-z]+(?: [a-z]+)?)", text.replace("\n  ", " "))
    # What follows a command that is no group is an argument of it.
    assert [one for one in given if one not in known and one.split()[0] not in known - groups] == []


def test_every_line_of_the_checklist_is_ticked_and_has_its_command():
    lines = re.split(r"\n- ", PAGES[0].read_text())[1:]
    assert len(lines) >= 13
    for line in lines:
        assert line.startswith("[x] **")
        assert "`" in line
