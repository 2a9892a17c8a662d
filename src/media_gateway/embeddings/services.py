"""What every embedding service has in common: how it answers, how it fails, and what its errors advise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np

from media_gateway.contracts import EmbeddingPurpose
from media_gateway.errors import (
    EmbeddingAuthenticationError,
    EmbeddingRefusedError,
    EmbeddingResponseError,
    EmbeddingServiceError,
    EmbeddingUnavailableError,
)
from media_gateway.models import Matrix

FaultKind = Literal["unavailable", "authentication", "refused", "response"]

_ERRORS: Final[dict[FaultKind, type[EmbeddingServiceError]]] = {
    "unavailable": EmbeddingUnavailableError,
    "authentication": EmbeddingAuthenticationError,
    "refused": EmbeddingRefusedError,
    "response": EmbeddingResponseError,
}
_LOGIN_STATUSES: Final = (401, 403)
_TRANSIENT_STATUSES: Final = (408, 429)
_SERVER_ERRORS: Final = 500


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a request brought no vectors.

    A value and not an exception: the exceptions of the SDKs hold the request, its key and its texts, and would carry
    them into every traceback. *retry_after* is what the service asked to wait, in seconds.
    """

    kind: FaultKind
    reason: str
    status: int | None = None
    is_transient: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Unit *vectors*, (n, d) float32, and what the service says that it counted; *cut* texts it shortened itself."""

    vectors: Matrix
    tokens: int | None = None
    characters: int | None = None
    cut: int = 0


@dataclass(frozen=True, kw_only=True)
class Service:
    """How messages speak of a service: its *name*, the host of its *endpoint*, and what to check for each fault."""

    name: str
    endpoint: str
    model: str
    check: dict[FaultKind, str]

    def error(self, fault: Fault) -> EmbeddingServiceError:
        """Return the error that says in one sentence what happened where and what to do."""
        return _ERRORS[fault.kind](
            f"{self.name} at {self.endpoint} {fault.reason}; {self.check[fault.kind]}",
            model=self.model,
            service=self.name,
            endpoint=self.endpoint,
            reason=fault.reason,
            status=fault.status,
        )


class EmbeddingsApi(Protocol):
    """One endpoint of a service, asked by its SDK."""

    @property
    def service(self) -> Service:
        """How messages speak of it."""
        ...

    async def request(self, texts: Sequence[str], purpose: EmbeddingPurpose) -> Answer | Fault:
        """Send one request for at least one text; what goes wrong on the way is a Fault, never an exception."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...


def fault_of_status(status: int, *, said: str, retry_after: float | None) -> Fault:
    """Return the fault of an answer with an HTTP error *status*; *said* is what may be quoted of it."""
    if status in _LOGIN_STATUSES:
        # What services say about keys quotes parts of them.
        return Fault(kind="authentication", reason=f"refuses the login (HTTP {status})", status=status)
    quoted = f": {said}" if said else ""
    if status in _TRANSIENT_STATUSES or status >= _SERVER_ERRORS:
        reason = f"answered HTTP {status}{quoted}"
        return Fault(kind="unavailable", reason=reason, status=status, is_transient=True, retry_after=retry_after)
    return Fault(kind="refused", reason=f"refuses the request (HTTP {status}{quoted})", status=status)


def unreachable(what: str) -> Fault:
    """Return the fault of a request that got no whole answer."""
    return Fault(kind="unavailable", reason=what, is_transient=True)


def unusable(what: str) -> Fault:
    """Return the fault of an answer that arrived and cannot be used; asking again would not help."""
    return Fault(kind="response", reason=what)


def unit_rows(rows: Sequence[Any], *, count: int, dimension: int) -> Matrix | Fault:
    """Return *rows* as (count, dimension) float32 unit vectors, or what is wrong with them."""
    if len(rows) != count:
        return unusable(f"answered with {len(rows)} vectors for {count} texts")
    for row in rows:
        if len(row) != dimension:
            return unusable(f"answered with vectors of {len(row)} numbers where {dimension} were asked for")
    try:
        matrix = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        return unusable("answered with vectors that are not rows of numbers")
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not norms.all():
        return unusable("answered with a vector of zeros, NaN or infinity")
    return (matrix / norms).astype(np.float32)
