-- search_index --
-- The nearest rows by the HNSW index. The index order must be the only one here; ties are put in order by the caller.
SELECT id, 1 - (vector <=> %(vector)s) AS score, metadata
FROM content_vectors
{{where}}
ORDER BY vector <=> %(vector)s
LIMIT {{limit}}

-- search_exact --
-- The nearest of all rows that pass. "+ 0" keeps the planner from the index, and runs per shard where there are shards.
SELECT id, 1 - (vector <=> %(vector)s) AS score, metadata
FROM content_vectors
{{where}}
ORDER BY (vector <=> %(vector)s) + 0, id
LIMIT {{limit}}

-- search_counted --
-- Counts what passes, no further than to where the index is cheaper than a scan, and goes the cheaper way; the other
-- way is never started. The count comes with every row.
WITH passing AS MATERIALIZED (
    SELECT count(*) AS number FROM (SELECT FROM content_vectors {{where}} LIMIT {{turn}} + 1) AS counted
)
(
    SELECT id, 1 - (vector <=> %(vector)s) AS score, metadata, (SELECT number FROM passing)
    FROM content_vectors
    {{where}} AND (SELECT number FROM passing) <= {{turn}}
    ORDER BY (vector <=> %(vector)s) + 0, id
    LIMIT {{limit}}
)
UNION ALL
(
    SELECT id, 1 - (vector <=> %(vector)s) AS score, metadata, (SELECT number FROM passing)
    FROM content_vectors
    {{where}} AND (SELECT number FROM passing) > {{turn}}
    ORDER BY vector <=> %(vector)s
    LIMIT {{limit}}
)

-- statistics --
-- What ANALYZE knows of the columns that conditions speak of; one row without a column when it knows nothing.
SELECT reltuples, attname, null_frac, most_common_vals::text::text[], most_common_freqs,
    histogram_bounds::text::text[], most_common_elems::text::text[], most_common_elem_freqs
FROM pg_class
LEFT JOIN pg_stats ON tablename = relname AND schemaname = relnamespace::regnamespace::text
    AND attname IN ('media_type', 'genre_ids', 'vote_average', 'release_date')
WHERE pg_class.oid = 'content_vectors'::regclass

-- count_up_to --
-- How many rows there are, counted no further than a limit.
SELECT count(*) FROM (SELECT FROM content_vectors LIMIT %(limit)s) AS counted

-- get --
-- Records by key, in any order.
SELECT id, vector, metadata FROM content_vectors WHERE id = ANY(%(keys)s::text[])

-- scan --
-- The next records in the order of their keys.
SELECT id, vector, metadata FROM content_vectors WHERE id > %(after)s::text ORDER BY id LIMIT %(limit)s

-- upsert --
-- Records by parallel arrays, in the order of their keys so that writers never wait for one another in a circle.
-- Only excluded.* is set: on distributed tables functions are refused there.
INSERT INTO content_vectors (id, vector, metadata)
SELECT item.id, item.vector, item.metadata
FROM unnest(%(ids)s::text[], %(vectors)b::{{vector_type}}[], %(metadata)s::text[]::jsonb[]) AS item (id, vector, metadata)
ON CONFLICT (id) DO UPDATE
SET vector = excluded.vector, metadata = excluded.metadata, updated_at = excluded.updated_at

-- delete --
-- Locked in the order of keys first, for the same reason.
DELETE FROM content_vectors
WHERE id IN (SELECT id FROM content_vectors WHERE id = ANY(%(keys)s::text[]) ORDER BY id FOR UPDATE)

-- stats --
-- Count, sizes, the space on record and the names of the valid indexes that searches can use.
SELECT
    (SELECT count(*) FROM content_vectors),
    pg_table_size('content_vectors'),
    pg_indexes_size('content_vectors'),
    (SELECT model FROM content_collection),
    (SELECT dimension FROM content_collection),
    (SELECT array_agg(indexrelid::regclass::text ORDER BY indexrelid)
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
        WHERE indrelid = 'content_vectors'::regclass AND indisvalid AND amname = '{{access_method}}'),
    current_setting('server_version'),
    (SELECT extversion FROM pg_extension WHERE extname = '{{extension}}')
