-- The collection: the table that operators were promised, with what filters and full-text search need generated from
-- metadata. Placeholders in double braces are filled in by the schema runner.

CREATE EXTENSION IF NOT EXISTS {{extension}};

-- Each function gives NULL on unusable input, so that no row is ever refused for what its metadata holds.

CREATE FUNCTION content_media_type(metadata jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN metadata -> 'media_type' IN ('"movie"', '"tv"') THEN metadata ->> 'media_type' END
$$;

-- The slow path: a list that holds anything but plain whole numbers below 10^9.
CREATE FUNCTION content_mixed_genre_ids(genres jsonb) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg((element #>> '{}')::numeric::integer), '{}')
    FROM jsonb_array_elements(genres) AS element
    WHERE CASE WHEN jsonb_typeof(element) = 'number'
               THEN (element #>> '{}')::numeric BETWEEN 0 AND 2147483647
                    AND trunc((element #>> '{}')::numeric) = (element #>> '{}')::numeric
               ELSE false END
$$;

CREATE FUNCTION content_genre_ids(metadata jsonb) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN metadata ->> 'genre_ids' ~ '^\[([0-9]{1,9}(, [0-9]{1,9})*)?\]$'
            AND jsonb_typeof(metadata -> 'genre_ids') = 'array'
        THEN string_to_array(translate(metadata ->> 'genre_ids', '[] ', ''), ',')::integer[]
        WHEN jsonb_typeof(metadata -> 'genre_ids') = 'array'
        THEN content_mixed_genre_ids(metadata -> 'genre_ids')
    END
$$;

-- Numbers beyond a double's range can come by raw SQL only; casting them would abort the statement.
CREATE FUNCTION content_vote_average(metadata jsonb) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN jsonb_typeof(metadata -> 'vote_average') = 'number'
        THEN CASE
            WHEN (metadata ->> 'vote_average')::numeric = 0
                OR abs((metadata ->> 'vote_average')::numeric) BETWEEN 5e-324 AND 1.797693134862315e308
            THEN (metadata ->> 'vote_average')::double precision
        END
    END
$$;

-- '...'::date depends on the session's DateStyle, so the day is put together from its checked parts.
CREATE FUNCTION content_release_date(metadata jsonb) RETURNS date
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    written text := metadata ->> 'release_date';
    year integer;
    month integer;
    day integer;
BEGIN
    IF written IS NULL OR written !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
        OR jsonb_typeof(metadata -> 'release_date') <> 'string' THEN
        RETURN NULL;
    END IF;
    year := substr(written, 1, 4)::integer;
    month := substr(written, 6, 2)::integer;
    day := substr(written, 9, 2)::integer;
    IF year < 1 OR month NOT BETWEEN 1 AND 12 OR day NOT BETWEEN 1 AND
        (CASE WHEN month IN (4, 6, 9, 11) THEN 30
              WHEN month <> 2 THEN 31
              WHEN year % 4 = 0 AND (year % 100 <> 0 OR year % 400 = 0) THEN 29
              ELSE 28 END) THEN
        RETURN NULL;
    END IF;
    RETURN make_date(year, month, day);
END
$$;

-- Titles weigh most, then the other texts (cast, director, year of release), then the overview. A tsvector over 1 MB
-- aborts the insert, so long texts are cut: 100,000 characters stay below that whatever they hold.
CREATE FUNCTION content_search_text(metadata jsonb) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT setweight(to_tsvector('simple', left(coalesce(metadata ->> 'title', ''), 10000)), 'A')
        || setweight(to_tsvector('english', left(coalesce(metadata ->> 'title', ''), 10000)), 'A')
        || setweight(to_tsvector('simple', left((metadata - '{title,overview,poster_path,media_type,genre_ids}'::text[])::text, 50000)), 'B')
        || setweight(to_tsvector('english', left(coalesce(metadata ->> 'overview', ''), 50000)), 'D')
$$;

CREATE TABLE content_vectors (
    id text COLLATE "C" NOT NULL,
    vector {{vector_type}}({{dimension}}) NOT NULL,
    metadata jsonb NOT NULL,
    media_type text COLLATE "C" GENERATED ALWAYS AS (content_media_type(metadata)) STORED,
    genre_ids integer[] GENERATED ALWAYS AS (content_genre_ids(metadata)) STORED,
    vote_average double precision GENERATED ALWAYS AS (content_vote_average(metadata)) STORED,
    release_date date GENERATED ALWAYS AS (content_release_date(metadata)) STORED,
    search_text tsvector GENERATED ALWAYS AS (content_search_text(metadata)) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT content_vectors_pkey PRIMARY KEY (id),
    CONSTRAINT content_vectors_id_size CHECK (octet_length(id) BETWEEN 1 AND 512),
    CONSTRAINT content_vectors_metadata_object CHECK (jsonb_typeof(metadata) = 'object'),
    -- Sums of squares in float32 reach from 1e-38 to 3e38; beyond these norms rows would be ranked wrongly. The bounds
    -- leave room for rounding, so that what the program accepts is never refused here.
    CONSTRAINT content_vectors_vector_norm CHECK ({{norm_function}}(vector) BETWEEN 0.999999e-15 AND 1.000001e18)
) WITH (toast_tuple_target = {{row_bytes}});

-- A vector is read whole and does not compress: in the row where it fits a page, beside it uncompressed where not.
ALTER TABLE content_vectors ALTER COLUMN vector SET STORAGE {{vector_storage}};

CREATE INDEX content_vectors_hnsw_idx ON content_vectors
    USING {{access_method}} (vector {{cosine_ops}}) WITH (m = 16, ef_construction = 64);

CREATE INDEX content_vectors_genre_ids_idx ON content_vectors USING gin (genre_ids);
CREATE INDEX content_vectors_vote_average_idx ON content_vectors (vote_average);
CREATE INDEX content_vectors_release_date_idx ON content_vectors (release_date);
CREATE INDEX content_vectors_metadata_idx ON content_vectors USING gin (metadata jsonb_path_ops);
CREATE INDEX content_vectors_search_text_idx ON content_vectors USING gin (search_text);

-- What every vector of the collection was made by: one row.
CREATE TABLE content_collection (
    singleton boolean NOT NULL DEFAULT true,
    model text NOT NULL,
    dimension integer NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT content_collection_pkey PRIMARY KEY (singleton),
    CONSTRAINT content_collection_one_row CHECK (singleton),
    CONSTRAINT content_collection_dimension CHECK (dimension > 0)
);
