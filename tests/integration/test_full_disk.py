"""A disk that fills up under PostgreSQL: one clear refusal, nothing half-written, and all is well once there is room."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from media_gateway.errors import StoreFullError
from media_gateway.models import VectorSpace
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio
SPACE = VectorSpace(model="test", dimension=384)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 MB, where this machine lets one be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_refuses_the_write_as_a_whole(small_disk: Path) -> None:
    server = TestServer(small_disk / "server")
    try:
        store = await server.open_store(SPACE)
        ballast = small_disk / "ballast"
        await store.upsert(records(200, 384))
        with ballast.open("wb") as file, pytest.raises(OSError):  # noqa: PT012
            while True:
                file.write(b"\0" * 2**20)
        with pytest.raises(StoreFullError, match="No space left on device.*free disk space"):
            await store.upsert(records(4000, 384, prefix="more"))
        server.stop()
        ballast.unlink()
        server.embedded.start()
        assert (await store.stats()).count == 200
        await store.upsert(records(10, 384, prefix="again"))
        assert (await store.stats()).count == 210
        await store.aclose()
    finally:
        server.stop()
