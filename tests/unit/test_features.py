"""Feature vectors: deterministic, of unit length, and told apart by what titles are."""

import subprocess
import sys
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_gateway.embeddings.features import FACTS, GENRES, TYPE, WORDS, ContentEmbeddings
from media_gateway.models import MediaContent
from media_gateway.vector_math import cosine

ON = date(2026, 1, 1)
MAKER = ContentEmbeddings(on=ON)
FILM = MediaContent(
    id=603,
    media_type="movie",
    title="The Matrix",
    overview="A hacker learns that the world is simulated.",
    genre_ids=(28, 878),
    vote_average=8.2,
    release_date=date(1999, 3, 30),
    extra={"popularity": 80.5, "runtime": 136},
)


def test_it_has_64_numbers_of_unit_length_in_four_parts():
    row = MAKER.vector(FILM)
    assert (row.shape, row.dtype) == ((64,), np.float32)
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-6)
    parts = {name: float(np.linalg.norm(row[part])) for name, part in {"g": GENRES, "t": TYPE, "w": WORDS}.items()}
    assert parts["g"] == pytest.approx(parts["w"])
    assert parts["g"] == pytest.approx(2 * parts["t"])
    assert np.linalg.norm(row[FACTS]) < parts["g"] * 0.25 / 0.30


def test_another_process_makes_the_same_numbers():
    code = "from tests.unit.test_features import MAKER, FILM; import sys; sys.stdout.buffer.write(MAKER.vector(FILM).tobytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": "7"})
    assert done.stdout == MAKER.vector(FILM).tobytes()


def test_recency_counts_from_the_day_given_and_stops_at_it():
    def recency(released: date | None, on: date = ON) -> float:
        facts = ContentEmbeddings(on=on)._facts(replace(FILM, release_date=released))
        return float(facts[4])

    assert recency(ON) == 1
    assert recency(date(2040, 1, 1)) == 1
    assert recency(date(2016, 1, 1)) == pytest.approx(0.5, abs=0.001)
    assert recency(date(2016, 1, 1), date(2021, 1, 1)) == pytest.approx(0.75, abs=0.001)
    assert recency(date(1950, 1, 1)) == 0
    assert recency(None) == 0


def test_facts_are_what_they_are_called():
    popularity, root, rating, power, recency, slow, duration, logarithm = MAKER._facts(FILM)
    assert (popularity, root) == pytest.approx((0.805, 0.805**0.5))
    assert (rating, power) == pytest.approx((0.82, 0.82**1.5))
    assert (recency, slow) == (0, 0)
    assert (duration, logarithm) == pytest.approx((136 / 300, np.log1p(136) / np.log1p(300)))


def test_like_titles_are_nearer_than_others():
    like = replace(FILM, id=1, title="Ghost in the Shell", overview="A hacker in a simulated world", extra={})
    other = MediaContent(id=2, media_type="tv", title="Bake Off", overview="Cakes in a tent", genre_ids=(10764,))
    row = MAKER.vector(FILM)
    assert cosine(row, MAKER.vector(like)) > 0.6
    assert cosine(row, MAKER.vector(other)) < 0.3


def test_short_words_say_nothing():
    first = replace(FILM, title="Up", overview="")
    assert not MAKER.vector(first)[WORDS].any()
    assert MAKER.vector(replace(first, title="Upon"))[WORDS].any()


def test_no_titles_give_no_rows():
    assert MAKER.vectors([]).shape == (0, 64)


@given(
    st.builds(
        MediaContent,
        id=st.integers(1, 9),
        media_type=st.sampled_from(["movie", "tv"]),
        title=st.text(min_size=1),
        overview=st.text(),
        genre_ids=st.lists(st.integers(0, 2**31 - 1)).map(tuple),
        vote_average=st.none() | st.floats(0, 10),
        release_date=st.none() | st.dates(),
        extra=st.fixed_dictionaries(
            {}, optional={"popularity": st.floats() | st.text() | st.booleans(), "runtime": st.integers()}
        ),
    )
)
def test_any_title_has_a_vector(content: MediaContent):
    row = MAKER.vector(content)
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-6)
    assert row.tolist() == MAKER.vector(content).tolist()
