-- The statements on an AgentDB file, each under its name. Values are bound.

-- pattern_add --
INSERT INTO reasoning_patterns (id, ts, task_type, approach, success_rate, uses, avg_reward, tags, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- pattern_embed --
INSERT OR REPLACE INTO pattern_embeddings (pattern_id, embedding) VALUES (?, ?)

-- pattern_unembed --
DELETE FROM pattern_embeddings WHERE pattern_id = ?

-- pattern_get --
SELECT id, ts, task_type, approach, success_rate, uses, avg_reward, tags, metadata FROM reasoning_patterns WHERE id = ?

-- pattern_page --
SELECT id, ts, task_type, approach, success_rate, uses, avg_reward, tags, metadata
FROM reasoning_patterns WHERE id > ? ORDER BY id LIMIT ?

-- pattern_ids --
SELECT id, tags FROM reasoning_patterns
WHERE (:task_type IS NULL OR task_type = :task_type)
  AND (:min_success_rate IS NULL OR success_rate >= :min_success_rate)
ORDER BY id

-- pattern_used --
UPDATE reasoning_patterns SET
    success_rate = (success_rate * coalesce(uses, 0) + :success) / (coalesce(uses, 0) + 1),
    avg_reward = (coalesce(avg_reward, 0) * coalesce(uses, 0) + :reward) / (coalesce(uses, 0) + 1),
    uses = coalesce(uses, 0) + 1
WHERE id = :id

-- pattern_change --
UPDATE reasoning_patterns SET ts = ?, success_rate = ?, tags = ?, metadata = ? WHERE id = ?

-- pattern_remove --
DELETE FROM reasoning_patterns WHERE id = ?

-- pattern_statistics --
SELECT count(*), avg(success_rate), avg(uses), coalesce(sum(ts >= :since), 0), coalesce(sum(success_rate >= 0.8), 0)
FROM reasoning_patterns

-- pattern_task_types --
SELECT task_type, count(*) FROM reasoning_patterns GROUP BY task_type ORDER BY count(*) DESC, task_type LIMIT 10

-- pattern_named --
-- The first condition is that of the index gateway_patterns_named, so that it is used.
SELECT id, ts, task_type, approach, success_rate, uses, avg_reward, tags, metadata FROM reasoning_patterns
WHERE task_type IN ('user_preference', 'content') AND task_type = ? AND approach = ? ORDER BY id DESC

-- pattern_vectors --
SELECT pattern_id, embedding FROM pattern_embeddings ORDER BY pattern_id

-- pattern_text --
SELECT task_type || ': ' || approach FROM reasoning_patterns WHERE id = ?

-- pattern_texts --
SELECT id, task_type || ': ' || approach FROM reasoning_patterns ORDER BY id

-- episode_add --
INSERT INTO episodes (id, ts, session_id, task, input, output, critique, reward, success, latency_ms, tokens_used, tags,
    metadata, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- episode_embed --
INSERT OR REPLACE INTO episode_embeddings (episode_id, embedding, embedding_model) VALUES (?, ?, ?)

-- episode_unembed --
DELETE FROM episode_embeddings WHERE episode_id = ?

-- episode_get --
SELECT id, ts, session_id, task, input, output, critique, reward, success, latency_ms, tokens_used, tags, metadata,
    created_at
FROM episodes WHERE id = ?

-- episode_page --
SELECT id, ts, session_id, task, input, output, critique, reward, success, latency_ms, tokens_used, tags, metadata,
    created_at
FROM episodes WHERE id > ? ORDER BY id LIMIT ?

-- episode_recent --
SELECT id, ts, session_id, task, input, output, critique, reward, success, latency_ms, tokens_used, tags, metadata,
    created_at
FROM episodes WHERE session_id = ? ORDER BY ts DESC, id DESC LIMIT ?

-- episode_watched --
SELECT id, ts, session_id, task, input, output FROM episodes
WHERE task LIKE 'watch\_%' ESCAPE '\' AND (ts, id) > (?, ?) ORDER BY ts, id LIMIT ?

-- episode_statistics --
SELECT count(*), avg(success = 1), avg(reward), avg(latency_ms), count(DISTINCT task), min(ts), max(ts),
    avg(CASE WHEN ts > :recent THEN reward END), avg(CASE WHEN ts <= :recent THEN reward END)
FROM episodes
WHERE (:task IS NULL OR task = :task) AND (:session IS NULL OR session_id = :session) AND ts > :since

-- episode_prunable --
SELECT id FROM (
    SELECT id, row_number() OVER (PARTITION BY task ORDER BY reward DESC, ts DESC, id DESC) AS place
    FROM episodes WHERE coalesce(reward, 0) < :min_reward AND ts < :before
) WHERE place > :keep ORDER BY id

-- episode_forget_origin --
UPDATE skills SET created_from_episode = NULL WHERE created_from_episode = ?

-- episode_remove --
DELETE FROM episodes WHERE id = ?

-- episode_vectors --
SELECT e.id, e.session_id, coalesce(e.reward, 0), e.success = 1, e.ts, coalesce(e.critique, '') <> '', v.embedding
FROM episode_embeddings v JOIN episodes e ON e.id = v.episode_id ORDER BY e.id

-- episode_vector --
SELECT embedding FROM episode_embeddings WHERE episode_id = ?

-- episode_text --
SELECT task || CASE WHEN coalesce(critique, '') <> '' THEN char(10) || critique ELSE '' END
    || CASE WHEN coalesce(output, '') <> '' THEN char(10) || output ELSE '' END
FROM episodes WHERE id = ?

-- episode_texts --
SELECT id, task || CASE WHEN coalesce(critique, '') <> '' THEN char(10) || critique ELSE '' END
    || CASE WHEN coalesce(output, '') <> '' THEN char(10) || output ELSE '' END
FROM episodes ORDER BY id

-- episode_attempts --
SELECT id, session_id, task, coalesce(reward, 0), success = 1, latency_ms FROM episodes
WHERE ts > ? ORDER BY session_id, task, id

-- episode_pairs --
-- Successive episodes of a session, with what was known of the session before the first of the two.
SELECT id, session, task, before_id, before_task, ts - before_ts, coalesce(reward, 0), mean_before, count_before
FROM (
    SELECT id, coalesce(session_id, '') AS session, task, ts, reward,
        lag(id) OVER each_session AS before_id,
        lag(task) OVER each_session AS before_task,
        lag(ts) OVER each_session AS before_ts,
        avg(coalesce(reward, 0)) OVER earlier AS mean_before,
        count(*) OVER earlier AS count_before
    FROM episodes
    WHERE ts > ?
    WINDOW each_session AS (PARTITION BY session_id ORDER BY ts, id),
        earlier AS (PARTITION BY session_id ORDER BY ts, id ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING)
)
WHERE before_id IS NOT NULL AND ts - before_ts <= ?
ORDER BY task, session, id

-- skill_add --
INSERT INTO skills (id, name, description, signature, code, success_rate, uses, avg_reward, avg_latency_ms,
    created_from_episode, created_at, updated_at, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- skill_embed --
INSERT OR REPLACE INTO skill_embeddings (skill_id, embedding, embedding_model) VALUES (?, ?, ?)

-- skill_unembed --
DELETE FROM skill_embeddings WHERE skill_id = ?

-- skill_get --
SELECT id, name, description, signature, code, success_rate, uses, avg_reward, avg_latency_ms, created_from_episode,
    created_at, updated_at, last_used_at, metadata
FROM skills WHERE id = ?

-- skill_named --
SELECT id, name, description, signature, code, success_rate, uses, avg_reward, avg_latency_ms, created_from_episode,
    created_at, updated_at, last_used_at, metadata
FROM skills WHERE name = ?

-- skill_page --
SELECT id, name, description, signature, code, success_rate, uses, avg_reward, avg_latency_ms, created_from_episode,
    created_at, updated_at, last_used_at, metadata
FROM skills WHERE id > ? ORDER BY id LIMIT ?

-- skill_ranks --
SELECT id, coalesce(success_rate, 0), coalesce(uses, 0), coalesce(avg_reward, 0), metadata FROM skills
WHERE coalesce(success_rate, 0) >= ? ORDER BY id

-- skill_used --
UPDATE skills SET
    success_rate = (coalesce(success_rate, 0) * coalesce(uses, 0) + :success) / (coalesce(uses, 0) + 1),
    avg_reward = (coalesce(avg_reward, 0) * coalesce(uses, 0) + :reward) / (coalesce(uses, 0) + 1),
    avg_latency_ms = (coalesce(avg_latency_ms, 0) * coalesce(uses, 0) + :latency_ms) / (coalesce(uses, 0) + 1.0),
    uses = coalesce(uses, 0) + 1
WHERE id = :id

-- skill_change --
UPDATE skills SET description = coalesce(?, description), code = coalesce(?, code), metadata = coalesce(?, metadata)
WHERE id = ?

-- skill_consolidated --
UPDATE skills SET success_rate = ?, uses = ?, avg_reward = ?, avg_latency_ms = ?, metadata = ? WHERE id = ?

-- skill_prunable --
SELECT id FROM skills
WHERE coalesce(uses, 0) < :min_uses AND coalesce(success_rate, 0) < :min_success_rate AND created_at < :before ORDER BY id

-- skill_remove --
DELETE FROM skills WHERE id = ?

-- skill_vectors --
SELECT skill_id, embedding FROM skill_embeddings ORDER BY skill_id

-- skill_text --
SELECT name || CASE WHEN coalesce(description, '') <> '' THEN char(10) || description ELSE '' END
    || char(10) || signature
FROM skills WHERE id = ?

-- skill_texts --
SELECT id, name || CASE WHEN coalesce(description, '') <> '' THEN char(10) || description ELSE '' END
    || char(10) || signature
FROM skills ORDER BY id

-- link_add --
INSERT INTO skill_links (parent_skill_id, child_skill_id, relationship, weight, metadata) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (parent_skill_id, child_skill_id, relationship)
DO UPDATE SET weight = excluded.weight, metadata = excluded.metadata

-- link_list --
SELECT id, parent_skill_id, child_skill_id, relationship, weight, metadata FROM skill_links
WHERE parent_skill_id = :parent AND (:relationship IS NULL OR relationship = :relationship) ORDER BY weight DESC, child_skill_id

-- edge_add --
INSERT INTO causal_edges (from_memory_id, from_memory_type, to_memory_id, to_memory_type, similarity, uplift, confidence,
    sample_size, evidence_ids, experiment_ids, confounder_score, mechanism, created_at, updated_at, last_validated_at,
    metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- edge_page --
SELECT id, from_memory_id, from_memory_type, to_memory_id, to_memory_type, similarity, uplift, confidence, sample_size,
    evidence_ids, experiment_ids, confounder_score, mechanism, created_at, updated_at, last_validated_at, metadata
FROM causal_edges WHERE id > ? ORDER BY id LIMIT ?

-- edge_discovered --
SELECT id, mechanism, uplift, confidence, sample_size, metadata FROM causal_edges WHERE mechanism LIKE ? || '%' ORDER BY id

-- edge_change --
UPDATE causal_edges SET from_memory_id = ?, to_memory_id = ?, similarity = ?, uplift = ?, confidence = ?, sample_size = ?,
    evidence_ids = ?, last_validated_at = ?, metadata = ?
WHERE id = ?

-- edge_prunable --
SELECT id FROM causal_edges
WHERE coalesce(confidence, 0) < :min_confidence OR coalesce(last_validated_at, created_at) < :before ORDER BY id

-- edge_remove --
DELETE FROM causal_edges WHERE id = ?

-- edge_means --
SELECT count(*), avg(abs(uplift)), avg(confidence) FROM causal_edges

-- vector_put --
INSERT INTO gateway_vectors (kind, owner, dimension, model, embedding, updated_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, owner) DO UPDATE SET dimension = excluded.dimension, model = excluded.model,
    embedding = excluded.embedding, updated_at = excluded.updated_at

-- vector_get --
SELECT dimension, model, embedding FROM gateway_vectors WHERE kind = ? AND owner = ?

-- vector_list --
SELECT owner, embedding FROM gateway_vectors WHERE kind = ? AND dimension = ?

-- vector_remove --
DELETE FROM gateway_vectors WHERE kind = ? AND owner = ?

-- match_put --
INSERT INTO gateway_platform_matches (content_key, platform, platform_id, confidence, matched_at, metadata)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (content_key, platform) DO UPDATE SET platform_id = excluded.platform_id,
    confidence = excluded.confidence, matched_at = excluded.matched_at, metadata = excluded.metadata

-- match_list --
SELECT content_key, platform, platform_id, confidence, matched_at, metadata FROM gateway_platform_matches
WHERE content_key = ? ORDER BY platform

-- match_find --
SELECT content_key, platform, platform_id, confidence, matched_at, metadata FROM gateway_platform_matches
WHERE platform = ? AND platform_id = ? ORDER BY confidence DESC, content_key

-- connection_put --
INSERT INTO gateway_connections (user_id, other_id, relationship, strength, since, metadata) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (user_id, other_id, relationship) DO UPDATE SET strength = excluded.strength, metadata = excluded.metadata

-- connection_list --
SELECT user_id, other_id, relationship, strength, since, metadata FROM gateway_connections
WHERE user_id = :user OR other_id = :user ORDER BY strength DESC, user_id, other_id, relationship

-- connection_remove --
DELETE FROM gateway_connections WHERE user_id = ? AND other_id = ? AND relationship = ?

-- count_patterns --
SELECT count(*) FROM reasoning_patterns

-- count_episodes --
SELECT count(*) FROM episodes

-- count_skills --
SELECT count(*) FROM skills

-- count_edges --
SELECT count(*) FROM causal_edges

-- count_links --
SELECT count(*) FROM skill_links

-- count_sessions --
SELECT count(DISTINCT session_id) FROM episodes

-- next_id --
SELECT seq FROM sqlite_sequence WHERE name = ?
