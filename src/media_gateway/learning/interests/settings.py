"""The numbers of the learner, chosen on events before 70 % of the stream alone (docs/learning.md)."""

from dataclasses import dataclass

DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class InterestSettings:
    """How interests are learned. The defaults are what the evaluation chose; times are in seconds."""

    dimension: int = 64
    """Numbers of a behaviour vector."""
    shrink: float = 5.0
    """Users who like both of a pair for its cosine to count half, so that pairs liked by one or two say little."""
    ridge: float = 0.02
    """What is added to the diagonal when one item's vector is solved for, in proportion to its mean."""
    history_cap: int = 500
    """Latest likes of a user that count in pairs and in the user's vectors."""
    ials_dimension: int = 32
    ials_regularization: float = 10.0
    ials_confidence: float = 2.0
    ials_iterations: int = 15
    bridge_trust: float = 2.0
    """An item with as many likes is placed halfway between what its text suggests and what was learned."""
    bridge_ridge: float = 30.0
    halflives: tuple[float, float, float] = (365 * DAY, 14 * DAY, 3 * DAY)
    """After these times a like counts half in the three popularities: lasting, recent and newest."""
    newcomer_time: float = DAY
    """For so long after the first event a user is new; then the user is a returning one."""
    history_steps: tuple[int, ...] = (1, 6, 21)
    """Numbers of likes at which a user gets other weights."""
    learning_rate: float = 0.0005
    segment_rate: float = 3.0
    """How much faster the weights of one kind of users move than what all share."""
    negatives: int = 300
    """Items, drawn evenly, among which a like has to be told."""
    batch: int = 100
