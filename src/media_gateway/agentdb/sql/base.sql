-- The tables, indexes and triggers of an AgentDB file as applications have them. Each is made where it is missing and
-- left alone where it is there, so that the same file goes on being opened by the npm package.

CREATE TABLE IF NOT EXISTS reasoning_patterns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ts INTEGER DEFAULT (strftime('%s', 'now')),
    task_type TEXT NOT NULL,
    approach TEXT NOT NULL,
    success_rate REAL NOT NULL DEFAULT 0.0,
    uses INTEGER DEFAULT 0,
    avg_reward REAL DEFAULT 0.0,
    tags TEXT,
    metadata TEXT
);
CREATE INDEX IF NOT EXISTS idx_patterns_task_type ON reasoning_patterns (task_type);
CREATE INDEX IF NOT EXISTS idx_patterns_success_rate ON reasoning_patterns (success_rate);
CREATE INDEX IF NOT EXISTS idx_patterns_uses ON reasoning_patterns (uses);

CREATE TABLE IF NOT EXISTS pattern_embeddings (
    pattern_id INTEGER PRIMARY KEY,
    embedding BLOB NOT NULL,
    FOREIGN KEY (pattern_id) REFERENCES reasoning_patterns (id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS episodes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ts INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    session_id TEXT NOT NULL,
    task TEXT NOT NULL,
    input TEXT,
    output TEXT,
    critique TEXT,
    reward REAL DEFAULT 0.0,
    success BOOLEAN DEFAULT 0,
    latency_ms INTEGER,
    tokens_used INTEGER,
    tags TEXT,
    metadata JSON,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now'))
);
CREATE INDEX IF NOT EXISTS idx_episodes_ts ON episodes (ts DESC);
CREATE INDEX IF NOT EXISTS idx_episodes_session ON episodes (session_id);
CREATE INDEX IF NOT EXISTS idx_episodes_reward ON episodes (reward DESC);
CREATE INDEX IF NOT EXISTS idx_episodes_task ON episodes (task);

CREATE TABLE IF NOT EXISTS episode_embeddings (
    episode_id INTEGER PRIMARY KEY,
    embedding BLOB NOT NULL,
    embedding_model TEXT DEFAULT 'all-MiniLM-L6-v2',
    FOREIGN KEY (episode_id) REFERENCES episodes (id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS skills (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE NOT NULL,
    description TEXT,
    signature JSON NOT NULL,
    code TEXT,
    success_rate REAL DEFAULT 0.0,
    uses INTEGER DEFAULT 0,
    avg_reward REAL DEFAULT 0.0,
    avg_latency_ms INTEGER DEFAULT 0,
    created_from_episode INTEGER,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    last_used_at INTEGER,
    metadata JSON,
    FOREIGN KEY (created_from_episode) REFERENCES episodes (id)
);
CREATE INDEX IF NOT EXISTS idx_skills_success ON skills (success_rate DESC);
CREATE INDEX IF NOT EXISTS idx_skills_uses ON skills (uses DESC);
CREATE INDEX IF NOT EXISTS idx_skills_name ON skills (name);

CREATE TABLE IF NOT EXISTS skill_links (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    parent_skill_id INTEGER NOT NULL,
    child_skill_id INTEGER NOT NULL,
    relationship TEXT NOT NULL,
    weight REAL DEFAULT 1.0,
    metadata JSON,
    FOREIGN KEY (parent_skill_id) REFERENCES skills (id) ON DELETE CASCADE,
    FOREIGN KEY (child_skill_id) REFERENCES skills (id) ON DELETE CASCADE,
    UNIQUE (parent_skill_id, child_skill_id, relationship)
);
CREATE INDEX IF NOT EXISTS idx_skill_links_parent ON skill_links (parent_skill_id);
CREATE INDEX IF NOT EXISTS idx_skill_links_child ON skill_links (child_skill_id);

CREATE TABLE IF NOT EXISTS skill_embeddings (
    skill_id INTEGER PRIMARY KEY,
    embedding BLOB NOT NULL,
    embedding_model TEXT DEFAULT 'all-MiniLM-L6-v2',
    FOREIGN KEY (skill_id) REFERENCES skills (id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS causal_edges (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    from_memory_id INTEGER NOT NULL,
    from_memory_type TEXT NOT NULL,
    to_memory_id INTEGER NOT NULL,
    to_memory_type TEXT NOT NULL,
    similarity REAL NOT NULL DEFAULT 0.0,
    uplift REAL,
    confidence REAL DEFAULT 0.5,
    sample_size INTEGER,
    evidence_ids TEXT,
    experiment_ids TEXT,
    confounder_score REAL,
    mechanism TEXT,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
    last_validated_at INTEGER,
    metadata JSON
);
CREATE INDEX IF NOT EXISTS idx_causal_edges_from ON causal_edges (from_memory_id, from_memory_type);
CREATE INDEX IF NOT EXISTS idx_causal_edges_to ON causal_edges (to_memory_id, to_memory_type);
CREATE INDEX IF NOT EXISTS idx_causal_edges_uplift ON causal_edges (uplift DESC);
CREATE INDEX IF NOT EXISTS idx_causal_edges_confidence ON causal_edges (confidence DESC);

CREATE TRIGGER IF NOT EXISTS update_skill_last_used AFTER UPDATE OF uses ON skills
BEGIN
    UPDATE skills SET last_used_at = strftime('%s', 'now') WHERE id = NEW.id;
END;
CREATE TRIGGER IF NOT EXISTS update_skill_timestamp AFTER UPDATE ON skills
BEGIN
    UPDATE skills SET updated_at = strftime('%s', 'now') WHERE id = NEW.id;
END;
CREATE TRIGGER IF NOT EXISTS update_causal_edge_timestamp AFTER UPDATE ON causal_edges
BEGIN
    UPDATE causal_edges SET updated_at = strftime('%s', 'now') WHERE id = NEW.id;
END;
CREATE TRIGGER IF NOT EXISTS validate_causal_confidence BEFORE INSERT ON causal_edges
WHEN NEW.confidence < 0 OR NEW.confidence > 1
BEGIN
    SELECT RAISE(ABORT, 'Confidence must be between 0 and 1');
END;
