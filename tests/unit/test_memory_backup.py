"""Backups of memory stores: taken beside a writer, restored by one renaming, and nothing damaged taken for good."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from media_gateway.errors import BackupError, SnapshotDamagedError, StoreLockedError
from media_gateway.models import SearchRequest, VectorSpace
from media_gateway.stores.memory import MemoryStore, open_memory_store
from media_gateway.stores.memory.backup import MemoryBackup
from media_gateway.transfer.backup import Backups, Made
from tests.samples import records

pytestmark = pytest.mark.anyio

SPACE = VectorSpace(model="test", dimension=32)
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


async def opened(path: Path) -> MemoryStore:
    return await open_memory_store(path, space=SPACE)


def backups_at(tmp_path: Path, path: Path) -> Backups:
    return Backups(tmp_path / "backups", MemoryBackup(path), clock=lambda: AT)


async def test_what_was_acknowledged_is_in_a_backup_taken_beside_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "m.snap"
    store = await opened(path)
    await store.upsert(records(50))
    await store.delete(["movie-0"])
    backups = backups_at(tmp_path, path)
    made = await backups.make()
    assert (made.path.name, made.manifest.facts.count) == ("backup-20260304.snap", 49)
    assert made.manifest.facts.digest == (await store.digest()).text
    assert (await backups.check()).path == made.path
    with pytest.raises(StoreLockedError):
        await backups.restore(made.path, print)
    await store.upsert(records(3, prefix="more"))
    await store.aclose()
    again = await opened(path)
    assert (await again.stats()).count == 52
    await again.aclose()


@pytest.mark.parametrize("is_left_in_journal", [True, False])
async def test_a_restore_takes_the_place_of_snapshot_and_journal_and_keeps_them(
    tmp_path: Path, is_left_in_journal: bool
) -> None:
    path = tmp_path / "m.snap"
    store = await opened(path)
    await store.upsert(records(50))
    backups = backups_at(tmp_path, path)
    made = await backups.make()
    await store.upsert(records(9, prefix="more"))
    if is_left_in_journal:
        # As a crash leaves them: what was written is in the journal alone.
        crashed = tmp_path / "crashed"
        crashed.mkdir()
        for name in ("m.snap", "m.snap.journal"):
            if (tmp_path / name).exists():
                shutil.copy(tmp_path / name, crashed / name)
        await store.aclose()
        path = crashed / "m.snap"
        backups = backups_at(tmp_path, path)
    else:
        await store.aclose()
    told: list[str] = []
    restored = await backups.restore(made.path, told.append)
    assert "50 vectors take" in told[0]
    store = await opened(path)
    assert (await store.digest()).text == made.manifest.facts.digest
    assert len((await store.search(SearchRequest(vector=records(1)[0].vector))).hits) == 10
    await store.upsert(records(1, prefix="new"))
    await store.aclose()
    store = await opened(path)
    assert (await store.stats()).count == 51
    await store.aclose()
    assert restored.kept is not None
    former = await opened(Path(restored.kept))
    assert (await former.stats()).count == 59
    await former.aclose()


async def test_a_crash_right_after_the_renaming_has_restored(tmp_path: Path) -> None:
    path = tmp_path / "m.snap"
    store = await opened(path)
    await store.upsert(records(20))
    made = await backups_at(tmp_path, path).make()
    await store.upsert(records(5, prefix="more"))
    journal = path.with_name("m.snap.journal").read_bytes()
    had_snapshot = path.exists()
    await store.aclose()
    if not had_snapshot:
        path.unlink()
    path.with_name("m.snap.journal").write_bytes(journal)
    await backups_at(tmp_path, path).restore(made.path, print)
    # The journal is still there when the process is killed before removing it.
    path.with_name("m.snap.journal").write_bytes(journal)
    store = await opened(path)
    assert (await store.stats()).count == 20
    await store.aclose()


async def test_a_restore_onto_damaged_files_and_onto_none(tmp_path: Path) -> None:
    path = tmp_path / "m.snap"
    store = await opened(path)
    await store.upsert(records(20))
    await store.aclose()
    made = await backups_at(tmp_path, path).make()
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(SnapshotDamagedError):
        await opened(path)
    await backups_at(tmp_path, path).restore(made.path, print)
    elsewhere = tmp_path / "new" / "m.snap"
    restored = await backups_at(tmp_path, elsewhere).restore(made.path, print)
    assert restored.kept is None
    for place in (path, elsewhere):
        store = await opened(place)
        assert (await store.digest()).text == made.manifest.facts.digest
        await store.aclose()


async def test_a_flipped_byte_and_another_content_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.snap"
    store = await opened(path)
    await store.upsert(records(20))
    backups = backups_at(tmp_path, path)
    first = await backups.make()
    await store.upsert(records(1, prefix="more"))
    second = await backups.make()
    await store.aclose()
    before = path.read_bytes()
    data = bytearray(second.path.read_bytes())
    data[300] ^= 1
    second.path.write_bytes(data)
    for attempt in (backups.restore(second.path, print), backups.check()):
        with pytest.raises(BackupError, match="is damaged: its SHA-256"):
            await attempt
    _exchange(first, second)
    with pytest.raises(BackupError, match="holds 20 records .* and its manifest says 21"):
        await backups.restore(second.path, print)
    assert path.read_bytes() == before


def _exchange(first: Made, second: Made) -> None:
    """Let the second backup's file be the first's, and its manifest's checksum too."""
    mine, theirs = (made.path.with_suffix(".json").read_text() for made in (second, first))
    for name in ("size", "sha256"):
        mine = mine.replace(str(getattr(second.manifest, name)), str(getattr(first.manifest, name)))
    assert mine != theirs
    second.path.with_suffix(".json").write_text(mine)
    shutil.copy(first.path, second.path)


async def test_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="there is no memory store at"):
        await backups_at(tmp_path, tmp_path / "none.snap").make()
    assert [entry.name for entry in (tmp_path / "backups").iterdir()] == [".backup.lock"]
