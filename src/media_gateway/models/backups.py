"""What is known of a backup, and of what was restored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

BackupKind: TypeAlias = Literal["memory", "postgres"]


@dataclass(frozen=True, kw_only=True)
class BackupFacts:
    """What a backup holds: *count* records of *dimension* numbers by *model*, all of one moment.

    *digest* is the text of their `CollectionDigest`. *tables* are the rows of each table, and *schema_version* the
    latest migration; a memory backup has neither. *versions* are those of server, extension and programs.
    """

    kind: BackupKind
    count: int
    model: str | None
    dimension: int | None
    digest: str
    schema_version: int | None = None
    tables: Mapping[str, int] = field(default_factory=dict[str, int])
    versions: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What a restore did: *place* is what runs now, *kept* what ran before, None when there was nothing.

    *advice* is what may be left to do, such as how to remove what was kept.
    """

    place: str
    kept: str | None
    advice: list[str]
