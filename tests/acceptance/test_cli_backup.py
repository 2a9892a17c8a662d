"""`backup`, `backup check` and `restore` as an operator uses them."""

from pathlib import Path

from tests.acceptance.command import SAMPLE_ROWS, Command, assert_refused


def test_back_up_check_and_restore(loaded: Command, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    assert_refused(loaded.inside("backup", "check", str(empty)), "there is no backup of the")
    before = loaded.inside("stats", "--json").json()
    made = loaded.inside("backup", "--to", str(tmp_path), "--json").json()
    assert made["count"] == before["count"] == SAMPLE_ROWS
    assert made["model"] == before["model"]
    file = Path(made["path"])
    assert file.parent == tmp_path
    checked = loaded.inside("backup", "check", str(tmp_path), "--json").json()
    assert (checked["good"], checked["path"], checked["sha256"]) == (True, str(file), made["sha256"])
    assert checked["age_seconds"] < 600
    assert " is good: 614 records, 0 min old" in loaded.inside("backup", "check", str(tmp_path)).out
    done = loaded.inside("restore", str(file), "--json")
    assert "614 vectors take" in done.err
    restored = done.json()
    assert restored["kept"] is not None
    after = loaded.inside("stats", "--json").json()
    assert (after["count"], after["model"]) == (before["count"], before["model"])
    data = bytearray(file.read_bytes())
    data[1000] ^= 16
    file.write_bytes(data)
    assert_refused(loaded.inside("restore", str(file)), "is damaged", "nothing was changed")
    assert_refused(loaded.inside("backup", "check", str(tmp_path)), "is damaged")
    assert_refused(loaded.inside("restore", str(tmp_path / "none.dump")), "there is no file")
