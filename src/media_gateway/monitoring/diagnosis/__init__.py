"""The doctor: what is wrong with a backend, why it matters, and what mends it.

`diagnose` looks and changes nothing. Each family of findings has a module of its own, which reads and then judges what
was read; `examining` puts them in order.
"""

from media_gateway.monitoring.diagnosis.examining import KINDS, diagnose
from media_gateway.monitoring.diagnosis.findings import Diagnosis, Finding, Fix, Kind, Severity
from media_gateway.monitoring.diagnosis.limits import Limits
from media_gateway.monitoring.diagnosis.parts import (
    BackupSeen,
    CollectionFacts,
    DiagnosisParts,
    IndexFacts,
    MemoryFiles,
    RolloutSeen,
)

__all__ = [
    "KINDS",
    "BackupSeen",
    "CollectionFacts",
    "Diagnosis",
    "DiagnosisParts",
    "Finding",
    "Fix",
    "IndexFacts",
    "Kind",
    "Limits",
    "MemoryFiles",
    "RolloutSeen",
    "Severity",
    "diagnose",
]
