"""SQL text of our own: psycopg asks that statements are literals, and these are put together from literals."""

import re
from collections.abc import Mapping
from typing import LiteralString, cast


def trusted(text: str) -> LiteralString:
    """Vouch that *text* was composed from this package's own SQL alone, every value of a caller bound."""
    return cast("LiteralString", text)


def filled(template: str, values: Mapping[str, str]) -> LiteralString:
    """Return *template* with every `{{name}}` replaced by one of our own *values*; an unknown name raises KeyError."""
    return trusted(re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template))
