-- Embeddings that were paid for, by the SHA-256 of their text, so that no text is embedded twice by one model. It holds
-- no text and may be emptied at any time: TRUNCATE content_embedding_cache.
--
-- Vectors are bytes, little-endian float32, since models of any dimension share the table.

CREATE TABLE content_embedding_cache (
    model text COLLATE "C" NOT NULL,
    dimension integer NOT NULL,
    purpose text COLLATE "C" NOT NULL,
    text_sha256 bytea NOT NULL,
    vector bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT content_embedding_cache_pkey PRIMARY KEY (model, dimension, purpose, text_sha256),
    CONSTRAINT content_embedding_cache_purpose CHECK (purpose IN ('query', 'document')),
    CONSTRAINT content_embedding_cache_hash CHECK (octet_length(text_sha256) = 32),
    CONSTRAINT content_embedding_cache_vector CHECK (octet_length(vector) = 4 * dimension)
) WITH (toast_tuple_target = 8160);

-- Floats do not compress. A vector stays in its row where the row fits a page, as the target above allows.
ALTER TABLE content_embedding_cache ALTER COLUMN vector SET STORAGE EXTERNAL;

-- Queries are forgotten by their age; documents are not.
CREATE INDEX content_embedding_cache_queries_idx ON content_embedding_cache (created_at) WHERE purpose = 'query';
