"""What may be quoted of a service's own error message: without keys, in one line, and short."""

import re
from collections.abc import Iterable
from typing import Final

_MOST: Final = 200
_KEYS: Final = re.compile(
    r"(sk|pk|rk|key|org|proj)-[\w*.-]{4,}"  # OpenAI's keys, and those of its imitators
    r"|AIza[\w-]{10,}|ya29\.[\w.-]+|eyJ[\w-]+\.[\w.-]*"  # Google's keys and access tokens, JSON web tokens
    r"|(?i:bearer|basic)\s+\S+"
    r"|://[^/\s@]+@"
)


def quotable(message: object, *, secrets: Iterable[str] = (), texts: Iterable[str] = ()) -> str:
    """Return *message* in one line of at most 200 characters, without *secrets* and what looks like one.

    A message that repeats one of *texts*, what users search for or store, is not quoted at all.
    """
    if not isinstance(message, str):
        return ""
    if any(text and text in message for text in texts):
        return ""
    for secret in secrets:
        message = message.replace(secret, "(hidden)") if secret else message
    message = " ".join(_KEYS.sub("(hidden)", message).split())
    return message if len(message) <= _MOST else message[: _MOST - 1] + "…"
