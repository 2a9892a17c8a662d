-- search_nearest --
-- The nearest rows by the HNSW index. The index order must be the only one here; ties are put in order by the caller.
SELECT id, 1 - (vector <=> %(vector)s) AS score, metadata
FROM content_vectors
{{where}}
ORDER BY vector <=> %(vector)s
LIMIT {{limit}}

-- search_index --
-- Candidates by an HNSW index, ordered by their exact scores, and with every row how many there were. The settings are made
-- by the condition, before the index is touched, and last for this statement: they cost no round trip.
SELECT id, 1 - distance AS score, metadata, count(*) OVER () AS candidates
FROM (
    SELECT id, metadata, vector <=> %(vector)s AS distance
    FROM content_vectors
    {{where}}
    ORDER BY {{order}}
    LIMIT {{fetch}}
) AS near
ORDER BY distance + 0
LIMIT {{limit}}

-- search_exact --
-- The nearest of all rows that pass. "+ 0" keeps the planner from the index, and runs per shard where there are shards.
SELECT id, 1 - (vector <=> %(vector)s) AS score, metadata
FROM content_vectors
{{where}}
ORDER BY (vector <=> %(vector)s) + 0, id
LIMIT {{limit}}

-- search_walk --
-- The first {{fetch}} rows that pass among those that the index yields, nearest first, ordered by their exact scores, and
-- with every row how many there were. The condition stands above the walk and its limit: no other index can be taken for it, and
-- a walk through rows that do not pass ends. "+ 0" makes the last order a sort, since an iterative walk yields only about in order.
SELECT id, 1 - distance AS score, metadata, count(*) OVER () AS candidates
FROM (
    SELECT id, metadata, distance
    FROM (
        SELECT id, metadata, vector <=> %(vector)s AS distance, ({{passes}}) AS passes
        FROM content_vectors
        {{where}}
        ORDER BY {{order}}
        LIMIT {{walk}}
    ) AS walked
    WHERE passes
    LIMIT {{fetch}}
) AS near
ORDER BY distance + 0
LIMIT {{limit}}

-- walk_places --
-- Which of the first {{walk}} rows that the index yields pass, and at which place they come.
SELECT id, place
FROM (
    SELECT id, passes, row_number() OVER () AS place
    FROM (
        SELECT id, ({{passes}}) AS passes FROM content_vectors {{where}} ORDER BY {{order}} LIMIT {{walk}}
    ) AS walked
) AS placed
WHERE passes

-- drawn --
-- Vectors of up to {{most}} rows of pages drawn at random.
SELECT vector FROM content_vectors TABLESAMPLE SYSTEM ({{percent}}) {{where}} LIMIT {{most}}

-- search_counted --
-- Tells how many rows pass and goes the cheaper way; the other way is never started. The number comes with every row, and
-- behind it how many candidates the index gave.
WITH passing AS MATERIALIZED (
    {{passing}}
)
(
    SELECT id, 1 - (vector <=> %(vector)s) AS score, metadata, (SELECT number FROM passing), NULL AS candidates
    FROM content_vectors
    {{where}} AND (SELECT number FROM passing) <= {{turn}}
    ORDER BY (vector <=> %(vector)s) + 0, id
    LIMIT {{limit}}
)
UNION ALL
(
    SELECT id, score, metadata, (SELECT number FROM passing), candidates
    FROM (
        {{by_index}}
    ) AS found
)

-- counted --
-- How many rows pass, counted no further than to where the index is cheaper than a scan.
SELECT count(*) AS number FROM (SELECT FROM content_vectors {{where}} LIMIT {{turn}} + 1) AS counted

-- sampled --
-- About how many of {{rows}} rows pass, by those of a few pages drawn at random.
SELECT round({{rows}}::float8 * count(*) FILTER (WHERE passes) / greatest(count(*), 1))::bigint AS number
FROM (SELECT ({{passes}}) AS passes FROM content_vectors TABLESAMPLE SYSTEM ({{percent}}) LIMIT {{most}}) AS sample

-- index_order --
-- What a search by the vector index is ordered by.
vector <=> %(vector)s

-- halfvec_order --
-- What a search by the halfvec index is ordered by: the expression that it was built on.
l2_normalize(vector)::halfvec({{dimension}}) <=> l2_normalize(%(vector)s)::halfvec({{dimension}})

-- index_there --
-- Whether an index of that name can be used. Without it the order by its expression would be a sort of the whole table.
EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('{{index}}') AND indisvalid)

-- situation --
-- How many rows there are, counted no further than a limit; the valid indexes that searches can walk, the latest first,
-- each with the type that it holds; and whether the profiles may be read.
SELECT
    (SELECT count(*) FROM (SELECT FROM content_vectors LIMIT %(limit)s) AS counted),
    (SELECT jsonb_agg(jsonb_build_array(relname, CASE opcname WHEN '{{cosine_ops}}' THEN 'vector' ELSE 'halfvec' END)
            ORDER BY pg_index.indexrelid)
        FROM pg_index
        JOIN pg_class ON pg_class.oid = indexrelid
        JOIN pg_am ON pg_am.oid = relam
        JOIN pg_opclass ON pg_opclass.oid = indclass[0]
        WHERE indrelid = 'content_vectors'::regclass AND indisvalid AND indpred IS NULL AND amname = '{{access_method}}'
            AND (opcname = '{{cosine_ops}}' AND indexprs IS NULL
                OR opcname = 'halfvec_cosine_ops' AND relname = 'content_vectors_halfvec_idx')),
    coalesce(has_table_privilege(to_regclass('content_search_profiles'), 'SELECT'), false)

-- latest_profile --
-- What tuning found last for one kind of index.
SELECT ef_search, k, walk_ratio, classes, measured_at
FROM content_search_profiles
WHERE index_kind = %(kind)s
ORDER BY id DESC
LIMIT 1

-- statistics --
-- What ANALYZE knows of the columns that conditions speak of; one row without a column when it knows nothing.
SELECT reltuples, attname, null_frac, most_common_vals::text::text[], most_common_freqs,
    histogram_bounds::text::text[], most_common_elems::text::text[], most_common_elem_freqs
FROM pg_class
LEFT JOIN pg_stats ON tablename = relname AND schemaname = relnamespace::regnamespace::text
    AND attname IN ('media_type', 'genre_ids', 'vote_average', 'release_date')
WHERE pg_class.oid = 'content_vectors'::regclass

-- field_statistics --
-- What ANALYZE knows of the fields of metadata that have an index, which is kept with the index and is its owner's to see;
-- nulls where it knows nothing.
SELECT relname::text, obj_description(indexrelid, 'pg_class'), null_frac, most_common_vals::text::text[], most_common_freqs,
    histogram_bounds::text::text[]
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
LEFT JOIN pg_stats ON tablename = relname AND schemaname = relnamespace::regnamespace::text
WHERE indrelid = 'content_vectors'::regclass AND indisvalid AND starts_with(relname::text, 'content_vectors_field_')

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
