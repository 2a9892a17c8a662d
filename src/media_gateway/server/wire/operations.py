"""What operators look at: running transfers, and findings of the doctor."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from media_gateway.server.wire.base import Shown


class TransferShown(Shown):
    """A resumable transfer by its journal."""

    journal: Annotated[str, Field(examples=["data/transfers/0b1c2d3e4f5a.journal"])]
    done: Annotated[int, Field(description="Records that the target acknowledged.")]
    expected: Annotated[int | None, Field(description="Records in all, null where nobody counted them.")]
    finished: bool
    idle_seconds: Annotated[float, Field(description="Since its last step.")]


class Transfers(Shown):
    """The transfer that was worked on last; none where there was none for a day."""

    transfers: list[TransferShown]


class FindingShown(Shown):
    """Something that was seen, why it matters, and the command that mends it."""

    code: str
    severity: Literal["error", "warning", "info"]
    seen: str
    matters: str
    command: str
    fix: str | None
    subject: str | None
    fixable: bool
    help: str


class DiagnosisShown(Shown):
    """All findings, the gravest first; what was checked, and what could not be."""

    healthy: bool
    findings: list[FindingShown]
    checked: list[str]
    skipped: list[str]


TRANSFERS_EXAMPLE: Final[dict[str, Any]] = {
    "transfers": [
        {
            "journal": "data/transfers/0b1c2d3e4f5a.journal",
            "done": 41000,
            "expected": 100000,
            "finished": False,
            "idle_seconds": 0.3,
        }
    ]
}
DIAGNOSIS_EXAMPLE: Final[dict[str, Any]] = {
    "healthy": False,
    "findings": [
        {
            "code": "index_missing",
            "severity": "error",
            "seen": "there is no valid vector index on 120,000 records",
            "matters": "every search reads the whole table",
            "command": "media-gateway index build",
            "fix": "build_index",
            "subject": "content_vectors_hnsw_idx",
            "fixable": True,
            "help": "docs/howto/doctor.md#index_missing",
        }
    ],
    "checked": ["server", "indexes"],
    "skipped": [],
}
