"""What every store checks on entry, in one place, so that all refuse the same input with the same error."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from media_gateway.errors import (
    DimensionMismatchError,
    DuplicateKeyError,
    InvalidKeyError,
    InvalidRequestError,
    InvalidVectorError,
    shown,
)
from media_gateway.filters import Condition
from media_gateway.json_values import MAX_BYTES, canonical_object, dump, unusable_text
from media_gateway.models import (
    MAX_K,
    MAX_KEY_BYTES,
    MAX_TEXT_CHARACTERS,
    MAX_WEIGHT,
    ContentVector,
    HybridWeights,
    Matrix,
    SearchMode,
    SearchRequest,
    Vector,
    Words,
)

NORM_RANGE: Final = (1e-15, 1e18)
"""Norms that pgvector ranks rightly: it sums squares in float32, which reaches from 1e-38 to 3e38."""
_SURELY_USABLE: Final = (1e-20, 1e20)
"""Squared norms that need no closer look."""
_QUICK_KEY: Final = MAX_KEY_BYTES // 4


def checked_key(key: object, *, name: str = "key") -> str:
    """Return *key*, or raise InvalidKeyError when it is not 1 to 512 bytes of text that PostgreSQL can hold.

    The message calls it *name*.
    """
    if not isinstance(key, str):
        raise InvalidKeyError(f"a {name} is {shown(key)}; expected text", field=name, given=key, expected="text")
    reason = unusable_text(key)
    if reason is not None:
        raise InvalidKeyError(
            f"the {name} {shown(key)} has {reason}; leave it out", field=name, given=key, expected="text without it"
        )
    if not key or (len(key) > _QUICK_KEY and len(key.encode()) > MAX_KEY_BYTES):
        size = len(key.encode())
        raise InvalidKeyError(
            f"the {name} {shown(key)} has {size} bytes; expected 1 to {MAX_KEY_BYTES} bytes of UTF-8",
            field=name,
            given=size,
            expected=MAX_KEY_BYTES,
        )
    return key


def checked_keys(keys: Sequence[str]) -> list[str]:
    """Return *keys* as a list, each one checked."""
    if isinstance(keys, str):
        raise InvalidKeyError(
            f"keys is the text {shown(keys)}; expected a list of keys", field="keys", given=keys, expected="a list"
        )
    return [checked_key(key) for key in keys]


def checked_page(after: str | None, batch_size: int) -> None:
    """Check what a scan is asked for: *after* is any text that PostgreSQL can hold, *batch_size* 1 or more.

    Raises InvalidKeyError and InvalidRequestError.
    """
    reason = None if after is None else unusable_text(after)
    if reason is not None:
        raise InvalidKeyError(
            f"after is {shown(after)}, which has {reason}; leave it out", field="after", given=after, expected="text"
        )
    if isinstance(batch_size, bool) or batch_size < 1:
        raise _invalid("batch_size", batch_size, "a whole number from 1")


def checked_vector(vector: object, dimension: int, *, field: str = "vector") -> Vector:
    """Return *vector* as (dimension,) float32.

    Raises DimensionMismatchError for another length, InvalidVectorError for NaN, infinity (also by overflow of
    float32), a norm outside 1e-15..1e18, or something that is not a row of numbers.
    """
    row = _row(vector, field)
    if row.shape[0] != dimension:
        raise DimensionMismatchError(given=row.shape[0], expected=dimension, field=field)
    # The common case of a search: far from either bound, where a sum in float32 is enough.
    if not _SURELY_USABLE[0] < float(row.dot(row)) < _SURELY_USABLE[1]:
        _check_norms(row[np.newaxis, :], [field])
    return row


def checked_items(items: Sequence[ContentVector], dimension: int) -> list[ContentVector]:
    """Return *items* with float32 vectors and canonical metadata.

    Raises the errors of `checked_key`, `checked_vector` and `canonical_object`, and DuplicateKeyError.
    """
    seen: set[str] = set()
    rows: list[Vector] = []
    checked: list[ContentVector] = []
    for item in items:
        key = checked_key(item.key)
        if key in seen:
            raise DuplicateKeyError(
                f"the key {shown(key)} is given twice in one call; give each key once",
                field="key",
                given=key,
                expected="each key once",
            )
        seen.add(key)
        row = _row(item.vector, f"the vector of {shown(key)}")
        if row.shape[0] != dimension:
            raise DimensionMismatchError(given=row.shape[0], expected=dimension, field=f"the vector of {shown(key)}")
        rows.append(row)
        metadata = canonical_object(item.metadata, field=f"metadata of {shown(key)}")
        checked.append(ContentVector(key=key, vector=row, metadata=metadata))
    if rows:
        _check_norms(np.stack(rows), [f"the vector of {shown(item.key)}" for item in checked])
    return checked


def checked_request(request: SearchRequest, dimension: int) -> SearchRequest:
    """Return *request* with a float32 vector, or raise InvalidRequestError or an error of `checked_vector`."""
    k = request.k
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _invalid("k", k, f"a whole number from 1 to {MAX_K:,}")
    if request.min_score is not None and not -2 <= request.min_score <= 2:  # noqa: PLR2004
        raise _invalid("min_score", request.min_score, "a cosine similarity between -1 and 1")
    if request.where is not None and not isinstance(request.where, Condition):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _invalid("where", request.where, "a condition of media_gateway.filters")
    if request.text is not None:
        checked_text(request.text)
    if request.weights is not None:
        _check_weights(request)
    if request.vector is None:
        if request.text is None:
            raise _invalid("vector", None, "a vector, a text, or both")
        vector = None
    else:
        vector = checked_vector(request.vector, dimension)
    exclude = tuple(checked_keys(request.exclude)) if request.exclude else ()
    if vector is request.vector and exclude == request.exclude:
        return request
    return replace(request, vector=vector, exclude=exclude)


def checked_text(text: object) -> str:
    """Return the search *text*, or raise InvalidRequestError when it has over 10,000 characters or is no text."""
    if not isinstance(text, str):
        raise _invalid("text", text, "text")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise _invalid("text", text, f"at most {MAX_TEXT_CHARACTERS:,} characters, and this has {len(text):,}")
    if unusable_text(text) is not None:
        raise _invalid("text", text, "text without NUL characters or lone surrogates")
    return text


def _check_weights(request: SearchRequest) -> None:
    weights = request.weights
    if not isinstance(weights, HybridWeights) or request.text is None or request.vector is None:
        raise _invalid("weights", weights, "HybridWeights, with a text and a vector; nothing in other searches")
    given = (weights.text, weights.vector)
    # NaN, which compares false with everything, is refused too.
    if not all(0 <= weight <= MAX_WEIGHT for weight in given) or max(given) < 1 / MAX_WEIGHT:
        raise _invalid("weights", weights, f"two numbers from 0 to {MAX_WEIGHT:,}, not both 0")


def _row(vector: Any, field: str) -> Vector:
    if type(vector) is np.ndarray and vector.dtype == np.float32 and vector.ndim == 1 and vector.flags.c_contiguous:
        return vector
    try:
        given = np.asarray(vector)
    except ValueError as error:
        raise _not_numbers(vector, field) from error
    # Texts and complex numbers would be cast, silently or with a warning.
    if given.dtype.kind not in "fiu":
        raise _not_numbers(vector, field)
    if given.ndim != 1:
        raise InvalidVectorError(
            f"{field} has the shape {given.shape}; expected one row of numbers",
            field=field,
            given=given.shape,
            expected="one dimension",
        )
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(given, dtype=np.float32)


def _not_numbers(vector: object, field: str) -> InvalidVectorError:
    return InvalidVectorError(
        f"{field} is {shown(vector)}; expected a row of numbers", field=field, given=vector, expected="numbers"
    )


def _check_norms(rows: Matrix, fields: Sequence[str]) -> None:
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    low, high = NORM_RANGE
    # Written so that NaN, which compares false with everything, is refused too.
    usable = (norms >= low) & (norms <= high)
    if usable.all():
        return
    bad = int(np.flatnonzero(~usable)[0])
    norm = float(norms[bad])
    if not np.isfinite(rows[bad]).all():
        message = f"{fields[bad]} holds NaN or infinity; expected finite numbers within float32"
    else:
        message = f"{fields[bad]} has the norm {norm:.3g}; expected one between {low:g} and {high:g}"
    raise InvalidVectorError(message, field=fields[bad], given=norm, expected=NORM_RANGE)


def _invalid(field: str, given: object, expected: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{field} is {shown(given)}; expected {expected}", field=field, given=given, expected=expected
    )


def encoded_metadata(item: ContentVector) -> bytes:
    """Return the JSON of checked *item*'s metadata, or raise InvalidRequestError when it has over 16 MiB."""
    text = dump(item.metadata)  # pyright: ignore[reportArgumentType]
    if len(text) > MAX_BYTES:
        raise _invalid(f"metadata of {shown(item.key)}", f"{len(text):,} bytes", f"at most {MAX_BYTES:,} bytes of JSON")
    return text


def checked_search_text(text: str, mode: SearchMode) -> tuple[str | None, str | None]:
    """Return what of *text* is to be embedded, and what is to be searched by words, None where nothing is.

    Raises InvalidRequestError for a blank text, another *mode*, and what `checked_text` refuses.
    """
    check_not_blank(text)
    if mode == "meaning":
        return text, None
    words = checked_text(text)
    if mode == "words":
        return None, words
    if mode == "hybrid":
        # Marks mean nothing to a model, and what is excluded would draw it near.
        return Words.read(words).sentence, words
    raise InvalidRequestError(
        f"mode is {shown(mode)}; expected 'meaning', 'words' or 'hybrid'",
        field="mode",
        given=mode,
        expected="meaning, words or hybrid",
    )


def check_not_blank(text: str) -> None:
    """Raise InvalidRequestError when *text* is empty or white space."""
    if not text.strip():
        raise InvalidRequestError(
            f"the search text is {shown(text)}; expected words to look for", field="text", given=text, expected="words"
        )
