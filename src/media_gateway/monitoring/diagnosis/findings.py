"""What a diagnosis finds: kinds of findings, each with a code, and the findings themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning", "info"]
Fix: TypeAlias = Literal[
    "start_server",
    "create_extension",
    "migrate",
    "build_index",
    "rebuild_index",
    "analyze",
    "vacuum",
    "prewarm",
    "tune",
    "compact",
]
"""What can be done without asking: nothing of it ends a session, deletes data or changes a server's settings."""

RESTORE: Final = "media-gateway restore FILE, with the newest backup"
"""A command whose file is filled in where a backup is found."""
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that was seen: how grave it is, why it matters, and the *command* that mends it.

    An error keeps the collection from serving or from being safe, a warning will; an info needs nothing done. *fix* is
    what `mend` does about it, None where that is the operator's to do. *subject* is what it is about, such as an index.
    """

    code: str
    severity: Severity
    seen: str
    matters: str
    command: str
    fix: Fix | None = None
    subject: str | None = None

    @property
    def is_fixable(self) -> bool:
        """Whether `doctor --fix` mends it."""
        return self.fix is not None

    def as_json(self) -> dict[str, Any]:
        """Return what programs get of it."""
        values = asdict(self)
        return {**values, "fixable": self.is_fixable, "help": f"docs/howto/doctor.md#{self.code}"}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of finding: its *code*, how grave it commonly is, and why it matters."""

    code: str
    severity: Severity
    matters: str

    def found(
        self,
        seen: str,
        command: str,
        *,
        fix: Fix | None = None,
        subject: str | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """Return a finding of this kind: what was *seen*, and what to do."""
        return Finding(
            code=self.code,
            severity=severity or self.severity,
            seen=seen,
            matters=self.matters,
            command=command,
            fix=fix,
            subject=subject,
        )


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All *findings*, the gravest first; the names of the checks made, and of those that nothing could be seen for."""

    findings: Sequence[Finding]
    checked: Sequence[str]
    skipped: Sequence[str]

    @property
    def is_healthy(self) -> bool:
        """Whether there is neither an error nor a warning."""
        return not self.count("error") and not self.count("warning")

    def count(self, severity: Severity) -> int:
        """Return how many findings are of *severity*."""
        return sum(finding.severity == severity for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return what programs get of it."""
        return {
            "healthy": self.is_healthy,
            "findings": [finding.as_json() for finding in self.findings],
            "checked": list(self.checked),
            "skipped": list(self.skipped),
        }


def by_gravity(findings: Sequence[Finding]) -> list[Finding]:
    """Return *findings*, errors first; those alike stay in their order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def in_bytes(count: float) -> str:
    """Return a number of bytes as people read it, in MiB or GiB."""
    if count >= 2**30:
        return f"{count / 2**30:,.1f} GiB"
    return f"{count / 2**20:,.1f} MiB" if count >= 2**20 else f"{count / 2**10:,.0f} KiB"


def in_time(seconds: float) -> str:
    """Return a duration in its largest unit: 90 s, 12 min, 30 h, 4 d."""
    units: Mapping[str, float] = {"d": 172_800, "h": 7_200, "min": 120}
    divisors = {"d": 86_400, "h": 3_600, "min": 60}
    for unit, least in units.items():
        if seconds >= least:
            return f"{seconds / divisors[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"
