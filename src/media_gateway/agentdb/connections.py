"""What connects things beyond one product: titles at other platforms, and users who know one another."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from media_gateway.agentdb.context import Context
from media_gateway.agentdb.statements import statement
from media_gateway.agentdb.values import checked_text, json_text, json_value
from media_gateway.errors import InvalidInputError
from media_gateway.preference_math import checked_share


@dataclass(frozen=True, kw_only=True)
class PlatformMatch:
    """The title *content_key* is *platform_id* at another *platform*, as sure as *confidence*."""

    content_key: str
    platform: str
    platform_id: str
    confidence: float
    matched_at: int
    metadata: Any = None


@dataclass(frozen=True, kw_only=True)
class Connection:
    """*user_id* knows *other_id*: a *relationship* of *strength* in [0, 1], since that time."""

    user_id: str
    other_id: str
    relationship: str
    strength: float
    since: int
    metadata: Any = None


class Connections:
    """The matches and connections of an open file; kept in tables of our own."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def save_match(
        self,
        content_key: str,
        platform: str,
        platform_id: str,
        *,
        confidence: float = 1.0,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Say that a title is *platform_id* at *platform*; said again, the later word counts."""
        row = (
            checked_text(content_key, "content_key"),
            checked_text(platform, "platform"),
            checked_text(platform_id, "platform_id"),
            checked_share(confidence, "confidence"),
            self._context.now,
            json_text(metadata, field="metadata"),
        )
        await self._context.file.write(lambda connection: connection.execute(statement("match_put"), row).rowcount)

    async def matches(self, content_key: str) -> list[PlatformMatch]:
        """Return where else a title is, by platform."""
        return await self._matches("match_list", (content_key,))

    async def matched(self, platform: str, platform_id: str) -> list[PlatformMatch]:
        """Return which titles something at a platform may be, the surest first."""
        return await self._matches("match_find", (platform, platform_id))

    async def _matches(self, name: str, values: tuple[str, ...]) -> list[PlatformMatch]:
        rows = await self._context.file.run(lambda connection: connection.execute(statement(name), values).fetchall())
        return [
            PlatformMatch(
                content_key=row[0],
                platform=row[1],
                platform_id=row[2],
                confidence=row[3],
                matched_at=row[4],
                metadata=json_value(row[5]),
            )
            for row in rows
        ]

    async def connect(
        self,
        user_id: str,
        other_id: str,
        *,
        relationship: str = "friend",
        strength: float = 1.0,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Say that two users know one another; said again, strength and metadata are set anew."""
        if checked_text(user_id, "user_id") == checked_text(other_id, "other_id"):
            raise InvalidInputError(
                f"user {user_id} was to be connected with themselves; give two users",
                field="other_id",
                given=other_id,
                expected="another user",
            )
        row = (
            *sorted((user_id, other_id)),
            checked_text(relationship, "relationship"),
            checked_share(strength, "strength"),
            self._context.now,
            json_text(metadata, field="metadata"),
        )
        await self._context.file.write(lambda connection: connection.execute(statement("connection_put"), row).rowcount)

    async def disconnect(self, user_id: str, other_id: str, *, relationship: str = "friend") -> bool:
        """Take a connection back; tell whether there was one."""
        row = (*sorted((user_id, other_id)), relationship)
        return await self._context.file.write(
            lambda connection: connection.execute(statement("connection_remove"), row).rowcount > 0
        )

    async def of(self, user_id: str) -> list[Connection]:
        """Return whom a user knows, the strongest first; *user_id* is the one that was asked for."""
        rows = await self._context.file.run(
            lambda connection: connection.execute(statement("connection_list"), {"user": user_id}).fetchall()
        )
        return [
            Connection(
                user_id=user_id,
                other_id=row[1] if row[0] == user_id else row[0],
                relationship=row[2],
                strength=row[3],
                since=row[4],
                metadata=json_value(row[5]),
            )
            for row in rows
        ]
