-- What tuning measured. Rows are kept as history; the latest one of the kind of index in use is what searches go by.

CREATE TABLE content_search_profiles (
    id bigint GENERATED ALWAYS AS IDENTITY,
    measured_at timestamptz NOT NULL DEFAULT now(),
    index_name text NOT NULL,
    index_kind text NOT NULL,
    table_rows bigint NOT NULL,
    k integer NOT NULL,
    target double precision NOT NULL,
    queries integer NOT NULL,
    queries_from text NOT NULL,
    ef_search integer NOT NULL,
    recall double precision NOT NULL,
    recall_low double precision NOT NULL,
    recall_high double precision NOT NULL,
    -- Rows that can be compared in the time that the index takes to yield one.
    walk_ratio double precision NOT NULL,
    -- By the share of rows that a filter passes, the largest first: how many times k candidates it needs.
    classes jsonb NOT NULL,
    CONSTRAINT content_search_profiles_pkey PRIMARY KEY (id),
    CONSTRAINT content_search_profiles_kind CHECK (index_kind IN ('vector', 'halfvec')),
    CONSTRAINT content_search_profiles_ef_search CHECK (ef_search BETWEEN 1 AND 1000),
    CONSTRAINT content_search_profiles_walk_ratio CHECK (walk_ratio > 0),
    CONSTRAINT content_search_profiles_classes CHECK (jsonb_typeof(classes) = 'array' AND jsonb_array_length(classes) > 0)
);

-- A type that few records have is otherwise found only by reading them all.
CREATE INDEX content_vectors_media_type_idx ON content_vectors (media_type);
