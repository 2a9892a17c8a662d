-- pg_restore works with an empty search_path, where a function's text does not find the functions that it names: every row
-- of a dump was refused. A body that is not text is bound when the function is made. It computes what it did before.

CREATE OR REPLACE FUNCTION content_genre_ids(metadata jsonb) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN metadata ->> 'genre_ids' ~ '^\[([0-9]{1,9}(, [0-9]{1,9})*)?\]$'
        AND jsonb_typeof(metadata -> 'genre_ids') = 'array'
    THEN string_to_array(translate(metadata ->> 'genre_ids', '[] ', ''), ',')::integer[]
    WHEN jsonb_typeof(metadata -> 'genre_ids') = 'array'
    THEN content_mixed_genre_ids(metadata -> 'genre_ids')
END;
