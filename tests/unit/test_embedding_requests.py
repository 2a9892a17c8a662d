"""What every embedding service shares: sizes of requests, pauses, prices, and what may be quoted."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_gateway.embeddings.batching import Limits, batches
from media_gateway.embeddings.endpoints import checked_urls, host_of
from media_gateway.embeddings.redaction import quotable
from media_gateway.embeddings.retries import RetryPolicy, retry_after
from media_gateway.embeddings.texts import checked_texts, cut_to_bytes
from media_gateway.embeddings.usage import PRICES, Usage, UsageMeter, total
from media_gateway.errors import InvalidInputError


@given(st.lists(st.text(min_size=1, max_size=30), max_size=60), st.integers(1, 9), st.integers(1, 120))
def test_batches_hold_every_text_once_in_order_and_fit(texts: list[str], count: int, size: int):
    made = list(batches(texts, Limits(texts=count, tokens=size, text_bytes=120)))
    assert [index for batch in made for index in batch] == list(range(len(texts)))
    for batch in made:
        assert 1 <= len(batch) <= count
        assert len(batch) == 1 or sum(len(texts[index].encode()) for index in batch) <= size


@given(st.text(max_size=200), st.integers(1, 400))
def test_a_cut_text_is_the_longest_beginning_that_fits(text: str, limit: int):
    cut = cut_to_bytes(text, limit)
    assert text.startswith(cut)
    assert len(cut.encode()) <= limit
    if cut != text:
        assert len(text[: len(cut) + 1].encode()) > limit


def test_texts_are_checked():
    assert checked_texts(("a", "b")) == ["a", "b"]
    with pytest.raises(InvalidInputError, match="a lone surrogate"):
        checked_texts(["\ud800"])


def test_retry_after_takes_seconds_and_dates():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after("7", now=now) == 7
    assert retry_after("0.25", now=now) == 0.25
    assert retry_after("Thu, 01 Jan 2026 00:00:30 GMT", now=now) == 30
    assert retry_after("Thu, 01 Jan 2026 00:00:30 -0000", now=now) == 30
    assert retry_after("Thu, 01 Jan 2025 00:00:30 GMT", now=now) == 0
    assert retry_after("-5", now=now) == 0
    for useless in (None, "", "soon", "nan", "inf", "Thu, 99 Foo 2026"):
        assert retry_after(useless, now=now) is None


@given(st.integers(1, 30))
def test_pauses_grow_at_random_up_to_the_longest(failures: int):
    policy = RetryPolicy(first_pause=0.5, longest_pause=20)
    whole = min(20, 0.5 * 2 ** (failures - 1))
    assert whole / 2 <= policy.pause(failures) <= whole


def test_cost_is_known_only_where_the_service_says_what_it_counted():
    meter = UsageMeter(PRICES["openai/text-embedding-3-small"])
    assert meter.usage().cost == 0
    meter.count_request(is_repeated=False)
    meter.count_answer(texts=10, tokens=1_000_000, characters=None)
    assert meter.usage().cost == pytest.approx(0.02)
    meter.count_answer(texts=10, tokens=None, characters=5)
    assert meter.usage().cost is None
    assert UsageMeter(None).usage().cost is None


def test_usages_add_up():
    asked = Usage(requests=2, tokens=5, cost=0.5)
    assert total([asked, asked, Usage()]) == Usage(requests=4, tokens=10, cost=1.0)
    assert total([asked, Usage(requests=1)]).cost is None
    assert total([]) == Usage(cost=0)


def test_what_is_quoted_of_a_service_has_no_key_and_no_text():
    assert quotable("no such model") == "no such model"
    assert quotable("two\n lines ") == "two lines"
    assert len(quotable("x" * 999)) == 200
    for value in (None, 3, ["x"]):
        assert quotable(value) == ""
    assert quotable("the key secret!", secrets=["secret!", ""]) == "the key (hidden)"
    for key in ("sk-abc***wxyz", "sk-proj-12345678", "Bearer abc", "AIzaSyA1234567890", "ya29.abc", "eyJhbGc.eyJ"):
        assert quotable(f"bad {key} here") == "bad (hidden) here"
    assert quotable("http://me:pw@host is down") == "http(hidden)host is down"
    assert quotable("cannot embed 'a wish'", texts=["a wish"]) == ""


def test_urls_are_cleaned_and_shown_by_host():
    assert checked_urls(" http://a/v1/ ,https://b:8443/v1,http://a/v1,", field="X") == [
        "http://a/v1",
        "https://b:8443/v1",
    ]
    assert [host_of(url) for url in ("http://a/v1", "https://b:8443/v1", "https://c:443", "http://[::1]:8000")] == [
        "a",
        "b:8443",
        "c",
        "[::1]:8000",
    ]
