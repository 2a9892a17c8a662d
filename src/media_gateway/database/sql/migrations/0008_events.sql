-- What users did, append-only: nothing changes a row, and only erasing a user or forgetting old months takes rows away.
--
-- The id is a UUID of version 7, which begins with the event's time in milliseconds. The table is partitioned by it, a
-- month each, so one id has one place: writing an event twice is one event, wherever it was written before.

CREATE FUNCTION user_event_time(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN to_timestamp((('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint)::double precision / 1000.0);

-- The smallest id that an event at the time *at* can have.
CREATE FUNCTION user_event_first_id(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN rpad(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0'), 32, '0')::uuid;

CREATE TABLE user_events (
    id uuid NOT NULL,
    kind text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    completion real,
    rating real,
    -- Of what was shown: at which place, by which source mostly, by which version of the model, and in which list.
    rank integer,
    source text COLLATE "C",
    model_version bigint,
    list_id uuid,
    context jsonb,
    CONSTRAINT user_events_pkey PRIMARY KEY (id),
    CONSTRAINT user_events_kind CHECK (kind IN ('watch', 'rating', 'click', 'dismiss', 'exposure')),
    CONSTRAINT user_events_user_size CHECK (octet_length(user_id) BETWEEN 1 AND 512),
    CONSTRAINT user_events_key_size CHECK (octet_length(key) BETWEEN 1 AND 512),
    CONSTRAINT user_events_completion CHECK (completion BETWEEN 0 AND 1),
    CONSTRAINT user_events_rating CHECK (rating BETWEEN 0 AND 10),
    CONSTRAINT user_events_rank CHECK (rank > 0)
) PARTITION BY RANGE (id);

-- Rows are exported and erased by their user, and shown lists are joined with what was clicked in them.
CREATE INDEX user_events_user_idx ON user_events (user_id, id);

-- Watches, ratings and dismissals that nothing has learned from yet. Whoever learns takes them out in the transaction that changes what is
-- learned, so each counts once, whenever the learner is killed. Events may come late and out of order; a number up to
-- which all is read would pass over some.
CREATE TABLE user_events_waiting (
    id uuid NOT NULL,
    CONSTRAINT user_events_waiting_pkey PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Makes the partition of the month that *at* lies in, in UTC; false when it is there. With the rights of the table's
-- owner: whoever may write events need not be allowed to make tables.
CREATE FUNCTION user_events_partition(at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' SET lock_timeout = '5s' AS $$
DECLARE
    month timestamptz := date_trunc('month', at, 'UTC');
    name text := 'user_events_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF at < 'epoch' OR at > now() + interval '62 days' THEN
        RAISE EXCEPTION 'no partition is made for events of %', at USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    -- "user_ev": writers that need the same month at the same time make it once.
    PERFORM pg_advisory_xact_lock(33059451822892406);
    IF to_regclass(quote_ident(name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Attaching needs a weaker lock than making it as a partition would: events are written and read meanwhile.
    EXECUTE format('CREATE TABLE %I (LIKE user_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format(
        'ALTER TABLE user_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, user_event_first_id(month), user_event_first_id(month + interval '1 month')
    );
    RETURN true;
END
$$;

-- Drops the partitions of months that ended before *at*, and returns how many; a month with events that nothing has
-- learned from yet is left.
CREATE FUNCTION user_events_forget(at timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET timezone = 'UTC' SET lock_timeout = '5s' AS $$
DECLARE
    name text;
    month timestamptz;
    dropped integer := 0;
BEGIN
    FOR name IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'user_events'::regclass AND relname ~ '^user_events_[0-9]{4}_[0-9]{2}$' ORDER BY relname
    LOOP
        month := make_timestamptz(substr(name, 13, 4)::integer, substr(name, 18, 2)::integer, 1, 0, 0, 0, 'UTC');
        CONTINUE WHEN month + interval '1 month' > at;
        CONTINUE WHEN EXISTS (
            SELECT FROM user_events_waiting
            WHERE id >= user_event_first_id(month) AND id < user_event_first_id(month + interval '1 month')
        );
        EXECUTE format('DROP TABLE %I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- What is known of a user's taste, one current row each: the unit vector that events move, how sure it is, and how much
-- each genre is liked (0 to 1, half at first).
CREATE TABLE user_preference_vectors (
    user_id text COLLATE "C" NOT NULL,
    -- Of any dimension, so that an empty collection can change to another model.
    preference_vector {{vector_type}} NOT NULL,
    model text NOT NULL,
    confidence double precision NOT NULL,
    genre_affinities jsonb NOT NULL,
    interactions bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT user_preference_vectors_pkey PRIMARY KEY (user_id),
    CONSTRAINT user_preference_vectors_confidence CHECK (confidence BETWEEN 0 AND 1),
    CONSTRAINT user_preference_vectors_user_size CHECK (octet_length(user_id) BETWEEN 1 AND 512)
) WITH (toast_tuple_target = 8160);

ALTER TABLE user_preference_vectors ALTER COLUMN preference_vector SET STORAGE EXTERNAL;
