"""Who reads from where."""

import hashlib
from typing import Final

from media_gateway.models import SearchRequest
from media_gateway.rollout.state import RolloutState, Side

_SALT: Final = b"media-gateway"
"""Never to be changed: every user's place depends on it."""
_PLACES: Final = 2**64


def place_of(key: str | bytes) -> float:
    """Return the place of a user or request in [0, 1), evenly spread and the same for ever.

    Canary takes the places below its percent, so raising the percent moves users to the new store and none back.
    """
    data = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
    return int.from_bytes(hashlib.blake2b(data, digest_size=8, key=_SALT).digest()) / _PLACES


def key_of(request: SearchRequest) -> str | bytes:
    """Return what decides where *request* goes: its user, or where none is named what it looks for."""
    if request.user is not None:
        return request.user
    vector = b"" if request.vector is None else request.vector.tobytes()
    return vector + b"\x00" + (request.text or "").encode("utf-8", "surrogatepass")


def reading_side(state: RolloutState, request: SearchRequest) -> Side:
    """Return the store that answers *request* under *state*, both stores being complete."""
    if state.tripped:
        return "memory"
    if state.mode == "canary":
        return "postgres" if place_of(key_of(request)) < state.percent / 100 else "memory"
    return state.truth
