-- What was learned from the events: how many users like an item, and two items together, and vectors made of that. All of
-- it follows from the events, and can be made again by media-gateway learn rebuild.
--
-- Users and items have numbers here, since pairs of them are many. Times are seconds since 1970, as events have them.

CREATE TABLE interest_items (
    number integer GENERATED ALWAYS AS IDENTITY,
    key text COLLATE "C" NOT NULL,
    likes integer NOT NULL DEFAULT 0,
    -- log2 of the sum over likes of 2^(time / half-life), for three half-lives: their order does not change with time.
    heat_lasting double precision,
    heat_recent double precision,
    heat_newest double precision,
    CONSTRAINT interest_items_pkey PRIMARY KEY (number),
    CONSTRAINT interest_items_key UNIQUE (key),
    CONSTRAINT interest_items_likes CHECK (likes >= 0)
) WITH (fillfactor = 80);

CREATE INDEX interest_items_lasting_idx ON interest_items (heat_lasting DESC NULLS LAST);
CREATE INDEX interest_items_recent_idx ON interest_items (heat_recent DESC NULLS LAST);
CREATE INDEX interest_items_newest_idx ON interest_items (heat_newest DESC NULLS LAST);

-- The vectors of an item. *learned* follows what users who like it like too; *shown* is that blended with what the text
-- of an item suggests that few have liked yet; *factors* are those of all likes, made anew from time to time.
CREATE TABLE interest_vectors (
    item integer NOT NULL,
    learned {{vector_type}}(64),
    shown {{vector_type}}(64) NOT NULL,
    factors {{vector_type}}(32),
    CONSTRAINT interest_vectors_pkey PRIMARY KEY (item),
    CONSTRAINT interest_vectors_item FOREIGN KEY (item) REFERENCES interest_items ON DELETE CASCADE
) WITH (fillfactor = 60);

ALTER TABLE interest_vectors ALTER COLUMN learned SET STORAGE PLAIN;
ALTER TABLE interest_vectors ALTER COLUMN shown SET STORAGE PLAIN;
ALTER TABLE interest_vectors ALTER COLUMN factors SET STORAGE PLAIN;

-- Where candidates are looked for in large catalogues: copies of *shown* and *factors* that follow every few thousand
-- events, where these have moved by a tenth. Each event moves a vector a little, and an insertion into a graph costs more
-- than all the rest of learning from it; what is found here is put in order by the vectors themselves.
CREATE TABLE interest_near_behaviour (
    item integer NOT NULL,
    vector {{vector_type}}(64) NOT NULL,
    CONSTRAINT interest_near_behaviour_pkey PRIMARY KEY (item),
    CONSTRAINT interest_near_behaviour_item FOREIGN KEY (item) REFERENCES interest_items ON DELETE CASCADE
);

CREATE TABLE interest_near_ials (
    item integer NOT NULL,
    vector {{vector_type}}(32) NOT NULL,
    CONSTRAINT interest_near_ials_pkey PRIMARY KEY (item),
    CONSTRAINT interest_near_ials_item FOREIGN KEY (item) REFERENCES interest_items ON DELETE CASCADE
);

ALTER TABLE interest_near_behaviour ALTER COLUMN vector SET STORAGE PLAIN;
ALTER TABLE interest_near_ials ALTER COLUMN vector SET STORAGE PLAIN;

CREATE INDEX interest_near_behaviour_hnsw_idx ON interest_near_behaviour
    USING {{access_method}} (vector {{inner_ops}}) WITH (m = 12, ef_construction = 40);
CREATE INDEX interest_near_ials_hnsw_idx ON interest_near_ials
    USING {{access_method}} (vector {{inner_ops}}) WITH (m = 12, ef_construction = 40);

CREATE TABLE interest_users (
    number integer GENERATED ALWAYS AS IDENTITY,
    user_id text COLLATE "C" NOT NULL,
    first_time double precision NOT NULL,
    last_time double precision NOT NULL,
    likes integer NOT NULL DEFAULT 0,
    -- The latest day (since 1970) on which likes were counted, and how many of them: there is a most.
    day integer NOT NULL DEFAULT 0,
    day_likes integer NOT NULL DEFAULT 0,
    CONSTRAINT interest_users_pkey PRIMARY KEY (number),
    CONSTRAINT interest_users_user UNIQUE (user_id)
) WITH (fillfactor = 80);

-- What a user has seen, and of that what the user likes: as the how manieth, and when. What a user adds to the counts
-- follows from these rows, so that it can be taken out of them when the user is erased.
CREATE TABLE interest_seen (
    user_number integer NOT NULL,
    item integer NOT NULL,
    place integer,
    liked_time double precision,
    CONSTRAINT interest_seen_pkey PRIMARY KEY (user_number, item),
    CONSTRAINT interest_seen_place CHECK ((place IS NULL) = (liked_time IS NULL)),
    CONSTRAINT interest_seen_user FOREIGN KEY (user_number) REFERENCES interest_users,
    CONSTRAINT interest_seen_item FOREIGN KEY (item) REFERENCES interest_items ON DELETE CASCADE
);

CREATE INDEX interest_seen_item_idx ON interest_seen (item) WHERE place IS NOT NULL;

-- How many users like both of two items, in both orders, so that what belongs to one item lies together.
CREATE TABLE interest_pairs (
    a integer NOT NULL,
    b integer NOT NULL,
    users integer NOT NULL,
    CONSTRAINT interest_pairs_pkey PRIMARY KEY (a, b),
    CONSTRAINT interest_pairs_users CHECK (users > 0)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- Arrays of the model, little-endian float64: weights of the sources, sums over all vectors, the bridge from text.
CREATE TABLE interest_arrays (
    name text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    shape integer[] NOT NULL,
    numbers bytea NOT NULL,
    CONSTRAINT interest_arrays_pkey PRIMARY KEY (name)
);

ALTER TABLE interest_arrays ALTER COLUMN numbers SET STORAGE EXTERNAL;

-- Versions of what decides the order of recommendations. One is current; a candidate runs beside it in shadow.
CREATE TABLE interest_versions (
    number bigint GENERATED ALWAYS AS IDENTITY,
    made_at timestamptz NOT NULL DEFAULT now(),
    state text COLLATE "C" NOT NULL,
    weights jsonb NOT NULL,
    -- What it was judged by when it was promoted, retired or rolled back, and why.
    metrics jsonb NOT NULL DEFAULT '{}',
    why text NOT NULL,
    decided_at timestamptz,
    CONSTRAINT interest_versions_pkey PRIMARY KEY (number),
    CONSTRAINT interest_versions_state CHECK (state IN ('candidate', 'current', 'retired', 'rejected', 'rolled back'))
);

CREATE UNIQUE INDEX interest_versions_current_idx ON interest_versions (state) WHERE state = 'current';

-- How far learning has come: one row, locked by whoever changes anything here.
CREATE TABLE interest_state (
    singleton boolean NOT NULL DEFAULT true,
    -- Counts every change; what was read at another revision may be out of date.
    revision bigint NOT NULL DEFAULT 0,
    events bigint NOT NULL DEFAULT 0,
    passed_over bigint NOT NULL DEFAULT 0,
    likes bigint NOT NULL DEFAULT 0,
    -- The time of the latest event.
    clock double precision NOT NULL DEFAULT 0,
    learned_at timestamptz,
    refreshed_at timestamptz,
    refreshed_likes bigint NOT NULL DEFAULT 0,
    CONSTRAINT interest_state_pkey PRIMARY KEY (singleton),
    CONSTRAINT interest_state_one_row CHECK (singleton)
);

INSERT INTO interest_state DEFAULT VALUES;
