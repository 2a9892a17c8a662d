"""Vectors of one's own in both backends: no text is embedded, and no other model's vectors get in."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from media_gateway import ContentVector, MediaContent, OwnVectors, Settings, open_gateway
from media_gateway.contracts import Embedder
from media_gateway.errors import (
    DimensionMismatchError,
    DuplicateKeyError,
    InvalidVectorError,
    ModelMismatchError,
    SettingsError,
    UnsupportedError,
)
from tests.postgres import TestServer
from tests.samples import records

pytestmark = pytest.mark.anyio

OWN = OwnVectors(model="clip", dimension=8)


@pytest.fixture(params=["memory", "postgres"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Settings]:
    """Gives settings of one collection, with more of them as wanted."""
    if request.param == "memory":
        return lambda **more: Settings.read(memory_path=tmp_path / "data.snap", **more)
    server: TestServer = request.getfixturevalue("postgres")
    where = server.new_database()
    return lambda **more: Settings.read(
        backend="postgres", postgres_host=where["host"], postgres_port=where["port"], postgres_db=where["dbname"],
        postgres_user=where["user"], postgres_password=where.get("password"), **more,
    )  # fmt: skip


async def test_records_are_added_and_found_by_their_vectors(read: Callable[..., Settings]) -> None:
    items = records(20, 8)
    async with open_gateway(read(), embedder=OWN) as gateway:
        added = await gateway.add_vectors(items)
        assert (added.written, added.unchanged) == (20, 0)
        changed = ContentVector(key=items[0].key, vector=items[1].vector, metadata={"title": "Changed"})
        added = await gateway.add_vectors([changed, *items[1:]])
        assert (added.written, added.unchanged) == (1, 19)
        found = await gateway.search_vector(items[5].vector, k=3)
        assert found.hits[0].key == items[5].key
        as_list = await gateway.search_vector(items[5].vector.astype(float).tolist(), k=3)
        assert as_list == found
        assert (await gateway.similar(items[1].key, k=1)).hits[0].key == items[0].key
        stats = await gateway.stats()
        assert (stats.model, stats.dimension, stats.count) == ("clip", 8, 20)


async def test_text_is_refused_with_advice(read: Callable[..., Settings]) -> None:
    async with open_gateway(read(), embedder=OwnVectors(model="clip", dimension=8)) as gateway:
        with pytest.raises(UnsupportedError, match=r"of your own, of clip \(8 numbers\).*; search with a vector"):
            await gateway.search("toys")
        with pytest.raises(UnsupportedError, match="add records with their vectors"):
            await gateway.add([MediaContent(id=1, media_type="movie", title="Toys")])
        assert (await gateway.add([])).written == 0


async def test_vectors_that_do_not_fit_are_refused(read: Callable[..., Settings]) -> None:
    row = np.ones(8, dtype=np.float32)
    async with open_gateway(read(), embedder=OwnVectors(model="clip", dimension=8)) as gateway:
        with pytest.raises(DimensionMismatchError):
            await gateway.add_vectors([ContentVector(key="a", vector=row[:7])])
        with pytest.raises(DuplicateKeyError):
            await gateway.add_vectors([ContentVector(key="a", vector=row)] * 2)
        with pytest.raises(DimensionMismatchError):
            await gateway.search_vector(row[:7])
        with pytest.raises(InvalidVectorError):
            await gateway.search_vector(row * np.nan)
        assert (await gateway.stats()).count == 0


@pytest.mark.parametrize(
    "other", [None, OwnVectors(model="siglip", dimension=8), OwnVectors(model="clip", dimension=9)]
)
async def test_another_space_is_refused(read: Callable[..., Settings], other: Embedder | None) -> None:
    async with open_gateway(read(), embedder=OwnVectors(model="clip", dimension=8)) as gateway:
        await gateway.add_vectors(records(2, 8))
    with pytest.raises(ModelMismatchError):
        await open_gateway(read(), embedder=other)


async def test_the_settings_can_choose_own_vectors(read: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match="RUVECTOR_MODEL and RUVECTOR_DIMENSION"):
        await open_gateway(read(embedding_provider="own"))
    settings = read(embedding_provider="own", own_model="clip", dimension=8)
    async with open_gateway(settings) as gateway:
        await gateway.add_vectors(records(2, 8))
        assert (await gateway.stats()).model == "clip"
        with pytest.raises(UnsupportedError):
            await gateway.search("toys")


def test_no_model_is_loaded(tmp_path: Path) -> None:
    program = """
        import sys
        import numpy as np
        from media_gateway import ContentVector, OwnVectors, open_sync_gateway

        with open_sync_gateway(embedder=OwnVectors(model="mine", dimension=2)) as gateway:
            gateway.add_vectors([ContentVector(key="a", vector=np.array([1, 0], dtype=np.float32))])
            print(gateway.search_vector([1, 1]).hits[0].key)
        print(sorted({"onnxruntime", "tokenizers", "openai", "google.genai"} & set(sys.modules)))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), check=True, capture_output=True, text=True)
    assert done.stdout == "a\n[]\n"
