"""Requests of a size that a service takes.

Services limit tokens, but their tokenizers are not at hand. A text has at most as many tokens as bytes of UTF-8
(byte-level BPE joins bytes; SentencePiece falls back to single bytes, and may put one mark before the text), so bytes
stand in for tokens: a bound that holds, and that leaves requests of English text at about a quarter of what they might be.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may hold: *texts* texts of *tokens* tokens together; a text is cut to *text_bytes* bytes."""

    texts: int
    tokens: int
    text_bytes: int


def batches(texts: Sequence[str], limits: Limits) -> Iterator[list[int]]:
    """Yield positions in *texts*, in order, in lists that each fit into one request; every list has at least one."""
    batch: list[int] = []
    size = 0
    for index, text in enumerate(texts):
        text_size = len(text.encode())
        if batch and (len(batch) == limits.texts or size + text_size > limits.tokens):
            yield batch
            batch, size = [], 0
        batch.append(index)
        size += text_size
    if batch:
        yield batch
