-- Weeks or months with days added that were not in them: their former states merged with the days.
WITH fresh AS (
    SELECT *, date_trunc(%(period)s, start_on::timestamp)::date AS outer_start
    FROM capacity_rollups_day
    WHERE start_on = ANY (%(days)s::date[])
        AND date_trunc(%(period)s, start_on::timestamp)::date = ANY (%(starts)s::date[])
        AND instance_id = ANY (%(instances)s::integer[])
),
former AS (
    DELETE FROM capacity_rollups
    WHERE period = %(period)s AND start_on = ANY (%(starts)s::date[])
        AND instance_id = ANY (%(instances)s::integer[])
    RETURNING start_on, scope, instance_id, object_id, seen, expected, estimated,
        sum_bytes, min_bytes, max_bytes, first_bytes, first_at, last_bytes, last_at
),
parts AS (
    SELECT outer_start, scope, instance_id, object_id, seen, expected, estimated,
        sum_bytes, min_bytes, max_bytes, first_bytes, first_at, last_bytes, last_at
    FROM fresh
    UNION ALL
    SELECT * FROM former
)
INSERT INTO capacity_rollups (
    start_on, instance_id, object_id, period, scope, seen, expected, estimated,
    sum_bytes, min_bytes, max_bytes, first_bytes, first_at, last_bytes, last_at
)
SELECT outer_start, instance_id, object_id, %(period)s, scope,
    sum(seen), sum(expected), sum(estimated), sum(sum_bytes), min(min_bytes), max(max_bytes),
    (min(ARRAY[(date_part('epoch', first_at) * 1000000)::bigint, first_bytes])
        FILTER (WHERE first_at IS NOT NULL))[2],
    min(first_at),
    (max(ARRAY[(date_part('epoch', last_at) * 1000000)::bigint, last_bytes])
        FILTER (WHERE last_at IS NOT NULL))[2],
    max(last_at)
FROM parts
GROUP BY scope, instance_id, object_id, outer_start
