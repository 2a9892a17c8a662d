"""Names of settings in the environment."""

from pydantic import AliasChoices


def named(*names: str) -> AliasChoices:
    """Return an alias that takes the environment's *names*; an argument bears the field's own name."""
    return AliasChoices(*names)
