"""How ends are written, and that a password in one never shows."""

from pathlib import Path

import pytest

from media_gateway.cli.transfer_ends import both_ends, named_end
from media_gateway.errors import InvalidInputError
from media_gateway.settings import Settings
from media_gateway.transfer.ends import parsed_end

URL = "postgresql://ann:s3cret@db.example:5433/films"


@pytest.mark.parametrize(
    ("text", "kind", "path"),
    [
        ("memory:data/memory.snap", "memory", Path("data/memory.snap")),
        ("memory:/a b/c", "memory", Path("/a b/c")),
        ("postgres", "postgres", None),
        (f"postgres:{URL}", "postgres", None),
        (URL, "postgres", None),
        ("films.parquet", "file", Path("films.parquet")),
        ("a/films.JSONL", "file", Path("a/films.JSONL")),
        ("films.npz", "file", Path("films.npz")),
    ],
)
def test_an_end(text: str, kind: str, path: Path | None):
    end = parsed_end(text, "--from")
    assert (end.kind, end.path) == (kind, path)
    assert (end.url is not None) == ("s3cret" in text)
    assert "s3cret" not in repr(end)


@pytest.mark.parametrize(
    "text", ["", "memory", "memory:", "films.csv", "data/memory.snap", "postgres:s3cret", "mysql:x"]
)
def test_what_is_no_end_is_refused(text: str):
    with pytest.raises(InvalidInputError) as raised:
        parsed_end(text, "--to")
    assert str(raised.value).startswith("--to is ")
    assert "s3cret" not in str(raised.value)


def test_a_url_is_named_without_its_password():
    end = named_end(f"postgres:{URL}", "--to", Settings.read())
    assert end.name == "ann@db.example:5433/films"
    assert end.settings.conninfo()["password"] == "s3cret"
    assert "s3cret" not in f"{end!r} {end.written}"


def test_a_url_that_cannot_be_read_is_not_quoted():
    with pytest.raises(InvalidInputError) as raised:
        named_end("postgres:postgresql://ann:s3cret@[db/x", "--to", Settings.read())
    assert str(raised.value).startswith("--to is no connection string (value hidden)")
    assert "s3cret" not in f"{raised.value!r} {raised.value.__cause__!r}"


@pytest.mark.parametrize(
    ("source", "target"),
    [("postgres", "postgres"), ("memory:a/../b.snap", "memory:b.snap"), ("a.npz", "./a.npz"), (URL, f"postgres:{URL}")],
)
def test_two_ends_must_be_two(source: str, target: str):
    with pytest.raises(InvalidInputError, match="expected two ends"):
        both_ends(source, target, Settings.read())


def test_the_page_shows_the_script_that_exports_from_npm():
    root = Path(__file__).parents[2]
    script = (root / "examples" / "export_ruvector.js").read_text()
    assert f"```js\n{script}```" in (root / "docs" / "howto" / "transfer.md").read_text()
    assert len(script.splitlines()) == 10
