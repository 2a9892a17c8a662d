-- What an AgentDB file has no place for. The npm package reads nothing of it and carries it along.

-- Vectors that have not 384 numbers, which its own tables must not hold: kind is 'preference' (owner is a user's id),
-- 'pattern', 'episode' or 'skill' (owner is the row's id).
CREATE TABLE gateway_vectors (
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    model TEXT,
    embedding BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (kind, owner)
);
CREATE INDEX gateway_vectors_dimension ON gateway_vectors (kind, dimension);

CREATE TRIGGER gateway_pattern_vector_goes AFTER DELETE ON reasoning_patterns
BEGIN
    DELETE FROM gateway_vectors WHERE kind = 'pattern' AND owner = CAST(OLD.id AS TEXT);
END;
CREATE TRIGGER gateway_episode_vector_goes AFTER DELETE ON episodes
BEGIN
    DELETE FROM gateway_vectors WHERE kind = 'episode' AND owner = CAST(OLD.id AS TEXT);
END;
CREATE TRIGGER gateway_skill_vector_goes AFTER DELETE ON skills
BEGIN
    DELETE FROM gateway_vectors WHERE kind = 'skill' AND owner = CAST(OLD.id AS TEXT);
END;

-- A user's profile and a title's pattern are found by their approach, which names them.
CREATE INDEX gateway_patterns_named ON reasoning_patterns (approach) WHERE task_type IN ('user_preference', 'content');

CREATE TABLE gateway_platform_matches (
    content_key TEXT NOT NULL,
    platform TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    confidence REAL NOT NULL,
    matched_at INTEGER NOT NULL,
    metadata TEXT,
    PRIMARY KEY (content_key, platform)
);
CREATE INDEX gateway_platform_matches_there ON gateway_platform_matches (platform, platform_id);

CREATE TABLE gateway_connections (
    user_id TEXT NOT NULL,
    other_id TEXT NOT NULL,
    relationship TEXT NOT NULL,
    strength REAL NOT NULL,
    since INTEGER NOT NULL,
    metadata TEXT,
    PRIMARY KEY (user_id, other_id, relationship)
);
CREATE INDEX gateway_connections_back ON gateway_connections (other_id);
