"""What an AgentDB file holds, as values: rows that were read, and what is given to be stored.

Times are whole Unix seconds, rates, rewards and confidences numbers that mostly lie in [0, 1]. JSON columns come
parsed; text that is no JSON comes as it stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from media_gateway.models import Vector

RowT = TypeVar("RowT")


@dataclass(frozen=True, kw_only=True)
class Found(Generic[RowT]):
    """A row that a search found: its cosine *similarity* to the query, and the *score* that it was ranked by."""

    row: RowT
    similarity: float
    score: float


@dataclass(frozen=True, kw_only=True, eq=False)
class NewPattern:
    """A pattern to be stored.

    A *vector* of 384 numbers stands in for the embedding of its text, one of another length is kept beside it; *time*
    is now where it is None.
    """

    task_type: str
    approach: str
    success_rate: float = 0.0
    uses: int = 0
    avg_reward: float = 0.0
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None
    vector: Vector | None = None
    time: int | None = None

    @property
    def text(self) -> str:
        """What is embedded."""
        return pattern_text(self.task_type, self.approach)


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A row of reasoning_patterns."""

    id: int
    ts: int
    task_type: str
    approach: str
    success_rate: float
    uses: int
    avg_reward: float
    tags: tuple[str, ...] = ()
    metadata: Any = None


@dataclass(frozen=True, kw_only=True, eq=False)
class NewEpisode:
    """An episode to be stored; *vector* and *time* as of `NewPattern`."""

    session_id: str
    task: str
    input: str | None = None
    output: str | None = None
    critique: str | None = None
    reward: float = 0.0
    success: bool = False
    latency_ms: int | None = None
    tokens_used: int | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None
    vector: Vector | None = None
    time: int | None = None

    @property
    def text(self) -> str:
        """What is embedded."""
        return episode_text(self.task, self.critique, self.output)


@dataclass(frozen=True, kw_only=True)
class Episode:
    """A row of episodes."""

    id: int
    ts: int
    session_id: str
    task: str
    input: str | None
    output: str | None
    critique: str | None
    reward: float
    success: bool
    latency_ms: int | None
    tokens_used: int | None
    tags: tuple[str, ...] = ()
    metadata: Any = None
    created_at: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class NewSkill:
    """A skill to be created; *vector* as of `NewPattern`. Names are unique in a file."""

    name: str
    description: str | None = None
    signature: Mapping[str, Any] = field(default_factory=lambda: dict[str, Any](inputs={}, outputs={}))
    code: str | None = None
    success_rate: float = 0.0
    uses: int = 0
    avg_reward: float = 0.0
    avg_latency_ms: int = 0
    created_from_episode: int | None = None
    metadata: Mapping[str, Any] | None = None
    vector: Vector | None = None


@dataclass(frozen=True, kw_only=True)
class Skill:
    """A row of skills."""

    id: int
    name: str
    description: str | None
    signature: Any
    code: str | None
    success_rate: float
    uses: int
    avg_reward: float
    avg_latency_ms: float
    created_from_episode: int | None
    created_at: int
    updated_at: int
    last_used_at: int | None
    metadata: Any = None


@dataclass(frozen=True, kw_only=True)
class SkillLink:
    """A row of skill_links: *relationship* is for example prerequisite, alternative, refinement or composition."""

    id: int
    parent_skill_id: int
    child_skill_id: int
    relationship: str
    weight: float
    metadata: Any = None


@dataclass(frozen=True, kw_only=True)
class CausalEdge:
    """A row of causal_edges: memories of *from_memory_type* that change what comes after them by *uplift*."""

    id: int
    from_memory_id: int
    from_memory_type: str
    to_memory_id: int
    to_memory_type: str
    similarity: float
    uplift: float | None
    confidence: float
    sample_size: int | None
    evidence_ids: Any
    experiment_ids: Any
    confounder_score: float | None
    mechanism: str | None
    created_at: int
    updated_at: int
    last_validated_at: int | None
    metadata: Any = None


def pattern_text(task_type: str, approach: str) -> str:
    """Return what is embedded of a pattern."""
    return f"{task_type}: {approach}"


def episode_text(task: str, critique: str | None, output: str | None) -> str:
    """Return what is embedded of an episode: its parts on lines of their own, empty ones left out."""
    return "\n".join(part for part in (task, critique, output) if part)


def skill_text(name: str, description: str | None, signature_json: str) -> str:
    """Return what is embedded of a skill."""
    return "\n".join(part for part in (name, description, signature_json) if part)
