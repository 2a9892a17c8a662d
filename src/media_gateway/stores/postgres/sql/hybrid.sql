-- query --
-- What one term asks for: its word forms as written, as in titles and names, or their English stems, as in overviews.
(phraseto_tsquery('simple', %({{name}})s::text) || phraseto_tsquery('english', %({{name}})s::text))

-- holds --
-- Whether a record holds what a query asks for.
search_text @@ {{query}}

-- term --
-- One term, and in how many records it is, counted no further than to one more than are ranked.
SELECT
    {{place}} AS place,
    phraseto_tsquery('simple', %({{name}})s::text) AS written,
    phraseto_tsquery('english', %({{name}})s::text) AS stemmed,
    (SELECT count(*) FROM (SELECT FROM content_vectors WHERE {{holds}} LIMIT {{most}} + 1) AS counted) AS found

-- ranked --
-- The records that hold words of the text, by the share of the text's words that they hold: rare words count more than
-- common ones (the inverse document frequency of Robertson and Sparck Jones), and each less outside of the title. What is
-- ranked is bounded: records that hold all the terms; those that hold the rarest, as many as together stay below the
-- bound; and where these are too few, some that hold any. 0.6079 is what ts_rank gives one word of weight 1.
term AS MATERIALIZED ({{terms}}),
weighed AS MATERIALIZED (
    SELECT written, stemmed, written || stemmed AS query,
        ln(1 + (size - least(found, size) + 0.5) / (found + 0.5)) AS rarity,
        sum(found) OVER (ORDER BY found, place) AS reach
    FROM term CROSS JOIN (
        SELECT CASE WHEN number <= {{most}} THEN number
            ELSE greatest(number, (SELECT reltuples FROM pg_class WHERE oid = 'content_vectors'::regclass)) END AS size
        FROM (SELECT count(*) AS number FROM (SELECT FROM content_vectors LIMIT {{most}} + 1) AS counted) AS counted
    ) AS collection
),
narrow AS MATERIALIZED (
    (SELECT id FROM content_vectors WHERE {{passes}} AND {{holds_all}} LIMIT {{most}})
    UNION
    SELECT id FROM content_vectors WHERE {{passes}} AND search_text @@ (
        SELECT string_agg(format('(%%s)', query), ' | ')::tsquery FROM weighed WHERE reach <= {{most}} AND numnode(query) > 0
    )
),
candidate AS MATERIALIZED (
    SELECT id FROM narrow
    UNION
    (
        SELECT id FROM content_vectors
        WHERE (SELECT count(*) FROM narrow) < {{wanted}} AND {{passes}} AND {{holds_any}}
        LIMIT {{most}}
    )
    {{also}}
),
held AS (
    SELECT id, round((sum(rarity * least(1, greatest(
        ts_rank('{{fields}}', search_text, written), ts_rank('{{fields}}', search_text, stemmed)) / 0.6079
    )) / (SELECT sum(rarity) FROM weighed))::numeric, 9)::double precision AS share
    FROM candidate
    -- OFFSET keeps the planner from looking all words up once more in place of these few rows.
    CROSS JOIN LATERAL (
        SELECT search_text FROM content_vectors WHERE content_vectors.id = candidate.id AND {{passes}} OFFSET 0
    ) AS text
    JOIN weighed ON search_text @@ query
    GROUP BY id
),
ranked AS MATERIALIZED (
    SELECT id, share, row_number() OVER (ORDER BY share DESC, id) AS place FROM held
    WHERE share >= {{least_share}} AND share >= {{least_of_best}} * (SELECT max(share) FROM held)
    ORDER BY share DESC, id
    LIMIT {{wanted}}
)

-- words --
-- Keyword search. The first column tells whether every record that holds any of the words was ranked; it comes also when
-- there are no hits.
WITH {{ranked}}
SELECT whole, id, share, metadata
FROM (SELECT max(reach) <= {{most}} AS whole FROM weighed) AS told
LEFT JOIN (
    SELECT id, share, metadata
    FROM ranked JOIN content_vectors USING (id)
    WHERE share > %(min_score)s::double precision
    ORDER BY share DESC, id
    LIMIT {{limit}}
) AS hit ON true
ORDER BY share DESC, id

-- hybrid --
-- Both rankings and their fusion by reciprocal ranks (Cormack, Clarke and Buettcher, 2009). The nearest are found by
-- whatever statement a search by vector alone would run. Scores are similarities, also of what only words found. The first
-- columns tell whether every record that holds any of the words was ranked, how many near ones there were, and the count
-- that the nearest were found by; they come also when there are no hits.
WITH nearest AS MATERIALIZED (
    SELECT id, {{number}} AS number, row_number() OVER (ORDER BY score DESC, id) AS place
    FROM ({{nearest}}) AS found
),
{{ranked}},
fused AS (
    SELECT id, nearest.place AS meaning_place, ranked.place AS words_place,
        coalesce(%(vector_weight)s::double precision / ({{damping}} + nearest.place), 0)
            + coalesce(%(text_weight)s::double precision / ({{damping}} + ranked.place), 0) AS rank_score
    FROM nearest FULL JOIN ranked USING (id)
),
scored AS (
    SELECT id, 1 - (vector <=> %(vector)s) AS score, metadata, rank_score, meaning_place, words_place
    FROM fused JOIN content_vectors USING (id)
)
SELECT whole, near, number, id, score, metadata, rank_score, meaning_place, words_place
FROM (
    SELECT (SELECT max(reach) <= {{most}} FROM weighed) AS whole, count(*) AS near, max(number) AS number FROM nearest
) AS told
LEFT JOIN (
    SELECT * FROM scored
    WHERE score > %(min_score)s::double precision
    ORDER BY rank_score DESC, score DESC, id
    LIMIT {{limit}}
) AS hit ON true
ORDER BY rank_score DESC, score DESC, id
