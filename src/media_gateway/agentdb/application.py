"""The calls of the media application: what users watch, what titles are, how to recommend."""

from typing import Any, Final

from media_gateway.agentdb.context import Context
from media_gateway.agentdb.episodes import Episodes, EpisodeStatistics
from media_gateway.agentdb.patterns import Patterns
from media_gateway.agentdb.records import Episode, Found, NewPattern, NewSkill, Pattern
from media_gateway.agentdb.single import facts_of, put_one
from media_gateway.agentdb.skills import Skills
from media_gateway.agentdb.values import checked_text
from media_gateway.agentdb.watching import watch_episode
from media_gateway.models import MediaContent, Vector, WatchEvent

_CONTENT: Final = "content"
_FIRST_SKILL_RATE: Final = 0.8
"""What the application gives a strategy that was not tried yet."""


class Application:
    """What the media application asks of its memory, beside profiles and connections."""

    def __init__(self, context: Context, patterns: Patterns, episodes: Episodes, skills: Skills) -> None:
        self._context = context
        self._patterns = patterns
        self._episodes = episodes
        self._skills = skills

    async def record_watch(
        self, event: WatchEvent, *, seconds: float | None = None, context: dict[str, Any] | None = None
    ) -> int:
        """Store *event* as an episode and return its id; see `watch_episode`."""
        return await self._episodes.store(watch_episode(event, seconds=seconds, context=context))

    async def similar_watches(self, user_id: str, text: str, *, k: int = 5) -> list[Found[Episode]]:
        """Return this user's own episodes nearest to *text*."""
        return await self._episodes.retrieve(text, session_id=checked_text(user_id, "user_id"), k=k)

    async def user_statistics(self, user_id: str) -> EpisodeStatistics:
        """Return how this user's episodes went."""
        return await self._episodes.user_statistics(user_id)

    async def save_content(self, content: MediaContent, *, vector: Vector | None = None) -> int:
        """Make the title's one pattern what *content* says and return its id; *vector* as of `NewPattern`."""
        key = content.key

        def is_it(row: Pattern) -> bool:
            facts = facts_of(row)
            return f"{facts.get('mediaType')}-{facts.get('contentId')}" == key

        pattern = NewPattern(
            task_type=_CONTENT,
            approach=f"{content.media_type}: {content.title}",
            success_rate=(content.vote_average or 0.0) / 10,
            tags=(_CONTENT, content.media_type),
            metadata={
                "contentId": content.id,
                "mediaType": content.media_type,
                "genreIds": list(content.genre_ids),
                "overview": content.overview,
            },
            vector=vector,
        )
        return await put_one(self._context, self._patterns, pattern, is_it)

    async def create_recommendation_skill(
        self, name: str, description: str, strategy: str, *, success_rate: float = _FIRST_SKILL_RATE
    ) -> int:
        """Create a skill that says how to recommend and return its id; raises InvalidInputError for a taken name."""
        checked_text(strategy, "strategy")
        skill = NewSkill(
            name=name,
            description=description,
            signature={"strategy": strategy},
            code=strategy,
            success_rate=success_rate,
        )
        return await self._skills.create(skill)
