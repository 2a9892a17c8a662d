-- The change log: which records were written or removed, by any hand, and in which transaction. What a record holds is
-- read from the collection when it is needed, so an entry is small and any number of entries for a key mean one read.
--
-- Entries are read in the order of their transactions, up to the oldest that still runs: one that began earlier and
-- commits later would otherwise be passed over.

CREATE TABLE content_changes (
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    number bigint GENERATED ALWAYS AS IDENTITY,
    -- NULL is a mark: many records changed at once, by a bulk load or TRUNCATE, and whoever follows compares them all.
    id text COLLATE "C",
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT content_changes_pkey PRIMARY KEY (transaction, number)
);

-- Up to which transaction entries were forgotten: a reader that had not come that far compares everything.
CREATE TABLE content_changes_forgotten (
    singleton boolean NOT NULL DEFAULT true,
    up_to xid8 NOT NULL DEFAULT '0',
    CONSTRAINT content_changes_forgotten_pkey PRIMARY KEY (singleton),
    CONSTRAINT content_changes_forgotten_one_row CHECK (singleton)
);

INSERT INTO content_changes_forgotten DEFAULT VALUES;

-- Entries are kept for a week. Writers forget them, since no other process need exist: one in 10,000 entries takes away
-- up to 20,000. Whoever finds another one at it leaves it to that one, so writers never wait for one another here.
CREATE FUNCTION content_changes_forget() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    last xid8;
BEGIN
    PERFORM FROM content_changes_forgotten FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    WITH forgotten AS (
        DELETE FROM content_changes WHERE (transaction, number) IN (
            SELECT transaction, number
            FROM (SELECT transaction, number, at FROM content_changes ORDER BY transaction, number LIMIT 20000) AS oldest
            WHERE at < now() - interval '7 days'
        ) RETURNING transaction
    )
    SELECT transaction INTO last FROM forgotten ORDER BY transaction DESC LIMIT 1;
    IF last IS NOT NULL THEN
        UPDATE content_changes_forgotten SET up_to = greatest(up_to, last);
    END IF;
END
$$;

-- With the rights of the table's owner: whoever may write a record need not be allowed to write the log.
CREATE FUNCTION content_changes_note() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    noted bigint;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO content_changes (id) VALUES (NULL);
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO content_changes (id) VALUES (OLD.id) RETURNING number INTO noted;
    END IF;
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.id <> OLD.id) THEN
        INSERT INTO content_changes (id) VALUES (NEW.id) RETURNING number INTO noted;
    END IF;
    IF noted % 10000 = 0 THEN
        PERFORM content_changes_forget();
    END IF;
    RETURN NULL;
END
$$;

-- Marks the collection as changed in many places, and keeps the rest of the transaction from noting each record.
CREATE FUNCTION content_changes_mark() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO content_changes (id) VALUES (NULL);
    PERFORM set_config('media_gateway.is_marked', 'yes', true);
END
$$;

CREATE TRIGGER content_vectors_changes AFTER INSERT OR UPDATE OR DELETE ON content_vectors
    FOR EACH ROW WHEN (current_setting('media_gateway.is_marked', true) IS DISTINCT FROM 'yes')
    EXECUTE FUNCTION content_changes_note();

CREATE TRIGGER content_vectors_truncation AFTER TRUNCATE ON content_vectors
    FOR EACH STATEMENT WHEN (current_setting('media_gateway.is_marked', true) IS DISTINCT FROM 'yes')
    EXECUTE FUNCTION content_changes_note();
