-- The rollout: which store answers and which one is the truth. Every state that was ever set stands here, so that the
-- table is the audit too; the entry of the highest epoch holds (of two of one epoch the later one, and then the higher
-- id). Entries that were made while this database was away are added when it is back.

CREATE TABLE content_rollout (
    id uuid NOT NULL,
    epoch bigint NOT NULL,
    mode text COLLATE "C" NOT NULL,
    percent double precision NOT NULL,
    follows boolean NOT NULL,
    tripped boolean NOT NULL,
    at timestamptz NOT NULL,
    who text NOT NULL,
    why text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT content_rollout_pkey PRIMARY KEY (id),
    CONSTRAINT content_rollout_epoch CHECK (epoch > 0),
    CONSTRAINT content_rollout_mode CHECK (mode IN ('off', 'shadow', 'canary', 'on')),
    CONSTRAINT content_rollout_percent CHECK (percent BETWEEN 0 AND 100)
);

CREATE INDEX content_rollout_epoch_idx ON content_rollout (epoch);

-- Answers of both stores to the same searches, summed up by process and about a minute.
CREATE TABLE content_rollout_comparisons (
    number bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    process text NOT NULL,
    compared bigint NOT NULL,
    dropped bigint NOT NULL,
    failed bigint NOT NULL,
    overlap_mean double precision,
    overlap_lowest double precision,
    score_difference_largest double precision,
    old_p50_ms double precision,
    old_p95_ms double precision,
    new_p50_ms double precision,
    new_p95_ms double precision,
    CONSTRAINT content_rollout_comparisons_pkey PRIMARY KEY (number)
);

CREATE INDEX content_rollout_comparisons_at_idx ON content_rollout_comparisons (at);
