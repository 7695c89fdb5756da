-- The state of every object over one period that cannot be computed anew: collected parts merged
-- with what is kept of the state that there was.
WITH former AS (
    DELETE FROM capacity_rollups
    WHERE period = %(period)s AND start_on = %(start_on)s
        AND instance_id = ANY (%(instances)s::integer[])
    RETURNING scope, instance_id, object_id, seen, expected, estimated,
        sum_bytes, min_bytes, max_bytes, first_bytes, first_at, last_bytes, last_at
),
parts AS (
    SELECT scope, instance_id, object_id, seen, expected, estimated,
        sum_bytes, min_bytes, max_bytes, first_bytes, first_at, last_bytes, last_at
    FROM day_parts
    WHERE late OR NOT %(only_late)s
    UNION ALL
    SELECT scope, instance_id, object_id, seen, 0, estimated,
        sum_bytes, min_bytes, max_bytes, first_bytes, first_at, last_bytes, last_at
    FROM former
    WHERE scope = ANY (%(kept_scopes)s::text[])
    UNION ALL
    SELECT scope, instance_id, object_id, 0, expected, 0,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM former
    WHERE %(expected_kept)s
)
INSERT INTO capacity_rollups (
    start_on, instance_id, object_id, period, scope, seen, expected, estimated,
    sum_bytes, min_bytes, max_bytes, first_bytes, first_at, last_bytes, last_at
)
SELECT %(start_on)s::date, instance_id, object_id, %(period)s, scope,
    sum(seen), sum(expected), sum(estimated), sum(sum_bytes), min(min_bytes), max(max_bytes),
    (min(ARRAY[(date_part('epoch', first_at) * 1000000)::bigint, first_bytes])
        FILTER (WHERE first_at IS NOT NULL))[2],
    min(first_at),
    (max(ARRAY[(date_part('epoch', last_at) * 1000000)::bigint, last_bytes])
        FILTER (WHERE last_at IS NOT NULL))[2],
    max(last_at)
FROM parts
GROUP BY scope, instance_id, object_id
HAVING sum(seen) > 0 OR sum(expected) > 0
