-- Why searches are set as they are: each tuning, asked for or not, and each time that one was due, with what was seen
-- before and what came of it. Added to, never altered.

CREATE TABLE content_tuning_audit (
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    process text NOT NULL,
    -- What it was for: somebody asked, the recall of real searches fell, the collection grew, or it was never tuned.
    trigger text NOT NULL,
    action text NOT NULL,
    reason text NOT NULL,
    -- The recall of real searches before, and of how many.
    recall_sampled double precision,
    samples integer NOT NULL DEFAULT 0,
    target double precision NOT NULL,
    table_rows bigint,
    ef_before integer,
    ef_after integer,
    -- The recall that tuning measured at the width it chose.
    recall_after double precision,
    -- Sentences about what would help beyond a width, such as a rebuild.
    advice text[] NOT NULL DEFAULT '{}',
    seconds double precision NOT NULL DEFAULT 0,
    CONSTRAINT content_tuning_audit_pkey PRIMARY KEY (id),
    CONSTRAINT content_tuning_audit_trigger CHECK (trigger IN ('asked', 'recall', 'growth', 'untuned')),
    CONSTRAINT content_tuning_audit_action CHECK (action IN ('tuned', 'advised', 'failed'))
);
