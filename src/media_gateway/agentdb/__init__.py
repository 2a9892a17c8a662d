"""AgentDB: the cognitive memory of an application in one SQLite file, the same file that the npm package opens.

Patterns say which approach worked, episodes what was tried and how it went, skills what came of it, causal edges what
leads to what. This package knows no store and no embedding model; whoever opens a file brings an Embedder.
"""

from media_gateway.agentdb.checking import Problem
from media_gateway.agentdb.connections import Connection, PlatformMatch
from media_gateway.agentdb.consolidation import ConsolidationRules
from media_gateway.agentdb.database import AgentDb, AgentDbInfo, open_agentdb
from media_gateway.agentdb.episodes import EpisodeStatistics
from media_gateway.agentdb.inspection import Variant
from media_gateway.agentdb.moat import Moat
from media_gateway.agentdb.nightly import NightlyReport, NightlyRules
from media_gateway.agentdb.patterns import PatternStatistics
from media_gateway.agentdb.profiles import Preferences
from media_gateway.agentdb.provenance import Provenance
from media_gateway.agentdb.records import (
    CausalEdge,
    Episode,
    Found,
    NewEpisode,
    NewPattern,
    NewSkill,
    Pattern,
    Skill,
    SkillLink,
)
from media_gateway.agentdb.reembedding import Reembedded
from media_gateway.agentdb.watching import WatchEpisodes, watch_episode

__all__ = [
    "AgentDb",
    "AgentDbInfo",
    "CausalEdge",
    "Connection",
    "ConsolidationRules",
    "Episode",
    "EpisodeStatistics",
    "Found",
    "Moat",
    "NewEpisode",
    "NewPattern",
    "NewSkill",
    "NightlyReport",
    "NightlyRules",
    "Pattern",
    "PatternStatistics",
    "PlatformMatch",
    "Preferences",
    "Problem",
    "Provenance",
    "Reembedded",
    "Skill",
    "SkillLink",
    "Variant",
    "WatchEpisodes",
    "open_agentdb",
    "watch_episode",
]
