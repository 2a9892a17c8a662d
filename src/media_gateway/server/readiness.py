"""What readiness is made of: named checks, each with a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

CheckName: TypeAlias = Literal["gateway", "store", "pool", "schema", "index", "warm"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that serving needs, whether it *passes*, and in *detail* how it is, without names of servers or users."""

    name: CheckName
    passes: bool
    detail: str
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """The checks of one moment; the service is ready when all pass."""

    checks: Sequence[Check]

    @property
    def is_ready(self) -> bool:
        """Whether every check passes."""
        return all(check.passes for check in self.checks)

    @property
    def failing(self) -> list[Check]:
        """The checks that do not pass."""
        return [check for check in self.checks if not check.passes]

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object: checks by their names."""
        checks = {
            check.name: {"passes": check.passes, "detail": check.detail, **check.figures} for check in self.checks
        }
        return {"ready": self.is_ready, "checks": checks}
