-- What records say of themselves, by which they are recommended before anybody has liked anything: how well they are rated,
-- and how popular they are where they come from. As in the other functions, unusable input gives NULL.

-- An average of few votes says little: it is taken together with 100 votes of 6.5, about what films get. A record that does
-- not tell its votes counts as having 100.
CREATE FUNCTION content_esteem(average double precision, votes jsonb) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN average > 0 AND jsonb_typeof(votes) = 'number'
    THEN CASE
        WHEN votes::numeric >= 1
        THEN (650 + average * least(trunc(votes::numeric), 1000000000)::double precision)
            / (100 + least(trunc(votes::numeric), 1000000000)::double precision)
    END
    WHEN average > 0 THEN (650 + average * 100) / 200
END;

CREATE FUNCTION content_fame(popularity jsonb) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN jsonb_typeof(popularity) = 'number'
    THEN CASE
        WHEN popularity::numeric > 0
        THEN least(greatest(popularity::numeric, 0.000000001), 1000000000)::double precision
    END
END;

CREATE INDEX content_vectors_esteem_idx
    ON content_vectors (content_esteem(vote_average, metadata -> 'vote_count') DESC, id)
    WHERE content_esteem(vote_average, metadata -> 'vote_count') IS NOT NULL;
CREATE INDEX content_vectors_fame_idx
    ON content_vectors (content_fame(metadata -> 'popularity') DESC, id)
    WHERE content_fame(metadata -> 'popularity') IS NOT NULL;
