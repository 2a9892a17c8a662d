-- What a role may read here differs: one that may not read a view gets an error or nothing, and the rest goes on.

-- server --
SELECT current_database(), version(), current_setting('max_connections')::integer,
    (SELECT setting FROM pg_settings WHERE name = 'data_directory')

-- connections --
-- The state of other roles' sessions shows to members of pg_monitor only.
SELECT coalesce(state, 'unknown'), count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
GROUP BY 1

-- oldest_transaction --
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()

-- replication --
-- A standby that has replayed everything, with nothing new to send, has no lag.
SELECT coalesce(nullif(application_name, ''), 'unnamed'), state, coalesce(extract(epoch FROM replay_lag), 0)::float8
FROM pg_stat_replication
ORDER BY 3 DESC
LIMIT 20

-- tables --
SELECT c.relname, pg_table_size(c.oid), coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0)
FROM pg_class c
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('content_vectors'))
    AND c.relkind = 'r' AND c.relname = ANY (%(tables)s)
ORDER BY 2 DESC

-- indexes --
SELECT s.indexrelname, pg_relation_size(s.indexrelid), s.idx_scan, s.idx_tup_read, s.idx_tup_fetch
FROM pg_stat_user_indexes s
WHERE s.relid = to_regclass('content_vectors')
ORDER BY 2 DESC
LIMIT 20

-- records --
-- Counting a gigabyte takes a second; beyond that the planner's estimate must do.
SELECT CASE
    WHEN pg_relation_size(oid) < 1073741824 OR reltuples < 0 THEN (SELECT count(*) FROM content_vectors)
    ELSE reltuples::bigint
END
FROM pg_class
WHERE oid = to_regclass('content_vectors')

-- statements --
SELECT left(md5(query), 8), query, calls, total_exec_time / 1000, mean_exec_time / 1000, max_exec_time / 1000
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND query LIKE '%%content_vectors%%' AND query NOT LIKE '%%pg_stat_statements%%'
ORDER BY mean_exec_time DESC
LIMIT 10

-- statements_loaded --
-- shared_preload_libraries itself is shown to few; the library's own settings are shown to all.
SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'pg_stat_statements.max')
