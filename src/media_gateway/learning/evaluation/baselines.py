"""What a recommender has to beat: simple rankings and the usual models, each with the settings that are tried."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from typing import Any, Final, TypeAlias

import numpy as np

from media_gateway.learning.evaluation.log import EventLog
from media_gateway.learning.interests.arrays import Numbers
from media_gateway.learning.interests.ials import folding, item_factors
from media_gateway.learning.interests.settings import DAY

Parameters: TypeAlias = Mapping[str, float]
Scorer: TypeAlias = Callable[[Numbers], Numbers]
"""Scores (c, n) of all items for c users, of whom each row (n,) has a 1 where the user likes the item."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A method: *fit* learns from a log and returns how it scores; *tried* are the settings among which one is chosen."""

    name: str
    fit: Callable[[EventLog, Parameters], Scorer]
    tried: Sequence[Parameters]


def _grid(**values: Sequence[float]) -> list[Parameters]:
    return [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]


def like_matrix(log: EventLog) -> Any:
    """Return the sparse (users, items) matrix of likes."""
    sparse: Any = import_module("scipy.sparse")
    users, rows = log.users[log.liked], log.rows[log.liked]
    return sparse.csr_matrix((np.ones(len(rows)), (users, rows)), shape=(len(log.names), len(log.items.keys)))


def like_counts(log: EventLog, halflife: float = np.inf) -> Numbers:
    """Return the likes of each item, each losing half its weight in *halflife* seconds before the end of *log*."""
    age = log.times[-1] - log.times[log.liked]
    counts = np.bincount(log.rows[log.liked], weights=np.exp2(-age / halflife), minlength=len(log.items.keys))
    return counts.astype(np.float64)


def _popularity(log: EventLog, _: Parameters) -> Scorer:
    counts = like_counts(log)
    return lambda liked: np.broadcast_to(counts, liked.shape)


def _recent_popularity(log: EventLog, parameters: Parameters) -> Scorer:
    counts = like_counts(log, parameters["halflife_days"] * DAY)
    return lambda liked: np.broadcast_to(counts, liked.shape)


def _text(log: EventLog, _: Parameters) -> Scorer:
    text = log.items.centred
    return lambda liked: (liked @ text) @ text.T


def _text_popularity(log: EventLog, parameters: Parameters) -> Scorer:
    counts = np.log1p(like_counts(log, parameters["halflife_days"] * DAY))
    popular = standard(counts)
    text = _text(log, parameters)
    return lambda liked: popular + parameters["text_weight"] * standard(text(liked))


def standard(scores: Numbers) -> Numbers:
    """Return *scores*, along their last axis, less their mean and over their spread; all 0 where all are equal."""
    spread = scores.std(axis=-1, keepdims=True)
    return np.where(spread > 0, (scores - scores.mean(axis=-1, keepdims=True)) / np.where(spread > 0, spread, 1.0), 0.0)


def _item_knn(log: EventLog, parameters: Parameters) -> Scorer:
    """Cosine of co-likes, shrunk, of each item's nearest alone (Sarwar et al., WWW 2001)."""
    likes = like_matrix(log)
    pairs = (likes.T @ likes).toarray()
    own = np.sqrt(np.maximum(pairs.diagonal(), 1.0))
    similar = pairs / (np.outer(own, own) + parameters["shrink"])
    np.fill_diagonal(similar, 0.0)
    kept = int(parameters["neighbours"])
    if kept < len(similar):
        limit = np.partition(similar, -kept, axis=1)[:, -kept]
        similar[similar < limit[:, np.newaxis]] = 0.0
    weights = similar.T
    return lambda liked: liked @ weights


def _ease(log: EventLog, parameters: Parameters) -> Scorer:
    """Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019."""
    likes = like_matrix(log)
    gram: Numbers = (likes.T @ likes).toarray()
    gram[np.diag_indices_from(gram)] += parameters["ridge"]
    inverse: Numbers = np.asarray(np.linalg.inv(gram), dtype=np.float64)
    weights = -inverse / inverse.diagonal()
    np.fill_diagonal(weights, 0.0)
    return lambda liked: liked @ weights


def _ials(log: EventLog, parameters: Parameters) -> Scorer:
    users, rows = log.users[log.liked], log.rows[log.liked]
    vectors = item_factors(
        users,
        rows,
        shape=(len(log.names), len(log.items.keys)),
        dimension=int(parameters["factors"]),
        regularization=parameters["regularization"],
        confidence=parameters["confidence"],
        iterations=15,
    )
    gram = vectors.T @ vectors

    def user(liked: Numbers) -> Numbers:
        return folding(
            vectors[liked > 0],
            gram,
            regularization=parameters["regularization"],
            confidence=parameters["confidence"],
        ).sum(axis=1)

    return lambda liked: np.array([user(one) for one in liked]) @ vectors.T


_HALFLIVES: Final = (1.0, 3.0, 7.0, 14.0, 30.0, 60.0)

BASELINES: Final = (
    Baseline(name="popularity", fit=_popularity, tried=[{}]),
    Baseline(name="recent popularity", fit=_recent_popularity, tried=_grid(halflife_days=_HALFLIVES)),
    Baseline(name="text", fit=_text, tried=[{}]),
    Baseline(
        name="text + popularity",
        fit=_text_popularity,
        tried=_grid(halflife_days=(*_HALFLIVES, np.inf), text_weight=(0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2)),
    ),
    Baseline(
        name="ItemKNN",
        fit=_item_knn,
        tried=_grid(shrink=(0.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0), neighbours=(50.0, 100.0, 200.0, 400.0, 100_000.0)),
    ),
    Baseline(
        name="EASE",
        fit=_ease,
        tried=_grid(ridge=(50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0)),
    ),
    Baseline(
        name="iALS",
        fit=_ials,
        tried=_grid(factors=(16.0, 32.0, 64.0), regularization=(1.0, 10.0, 30.0, 100.0), confidence=(2.0, 5.0, 20.0)),
    ),
)
