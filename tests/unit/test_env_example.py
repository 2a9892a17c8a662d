"""`.env.example` names every setting, gives each default as it is, and can be used as it stands."""

import re
from pathlib import Path

import pytest
from pydantic import AliasChoices

from media_gateway.settings import Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def test_every_setting_is_named_and_none_besides():
    named = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE))
    choices = [field.validation_alias for field in Settings.model_fields.values()]
    first = {str(alias.choices[0]) for alias in choices if isinstance(alias, AliasChoices)}
    assert named == first


def test_it_says_what_holds_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    without = Settings.read()
    (tmp_path / ".env").write_text(EXAMPLE.read_text())
    assert Settings.read() == without
