-- A sample of the searches that were answered: what tuning replays and what learning reads. It may be emptied at any time:
-- TRUNCATE vector_search_logs.
--
-- One plain table, not a partition a day: partitions are made and dropped, which a role that may only read and write
-- rows cannot do, and rows in their thousands are deleted in a moment.

CREATE TABLE vector_search_logs (
    id bigint GENERATED ALWAYS AS IDENTITY,
    logged_at timestamptz NOT NULL DEFAULT now(),
    -- What was given: words, a vector, or the key of a record.
    kind text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    -- Of any dimension, so that an empty collection can change to another model while its old searches are still here.
    query_vector {{vector_type}} NOT NULL,
    query_text text,
    filter_json jsonb,
    k integer NOT NULL,
    exact boolean NOT NULL,
    result_keys text[] COLLATE "C" NOT NULL,
    user_id text COLLATE "C",
    latency_ms real NOT NULL,
    store text COLLATE "C" NOT NULL,
    CONSTRAINT vector_search_logs_pkey PRIMARY KEY (id),
    CONSTRAINT vector_search_logs_kind CHECK (kind IN ('text', 'vector', 'similar')),
    CONSTRAINT vector_search_logs_user_size CHECK (octet_length(user_id) BETWEEN 1 AND 512)
) WITH (toast_tuple_target = 8160);

-- Floats do not compress. A vector stays in its row where the row fits a page, as the target above allows.
ALTER TABLE vector_search_logs ALTER COLUMN query_vector SET STORAGE EXTERNAL;

-- Rows are forgotten by their age, and by their user.
CREATE INDEX vector_search_logs_logged_at_idx ON vector_search_logs (logged_at);
CREATE INDEX vector_search_logs_user_id_idx ON vector_search_logs (user_id) WHERE user_id IS NOT NULL;
