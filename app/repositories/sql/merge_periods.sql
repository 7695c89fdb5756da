-- The state of every object over weeks, months or quarters, merged from the periods within them.
-- Of the periods from first to before after_last only the pairs of dirty_starts and
-- dirty_instances are computed.
WITH dirty (start_on, instance_id) AS (
    SELECT * FROM unnest(%(dirty_starts)s::date[], %(dirty_instances)s::integer[])
),
within AS (
    SELECT *, date_trunc(%(period)s, start_on::timestamp)::date AS outer_start
    FROM capacity_rollups
    WHERE period = %(inner_period)s AND start_on >= %(first)s AND start_on < %(after_last)s
        AND ((date_trunc(%(period)s, start_on::timestamp)::date, instance_id)
            IN (SELECT start_on, instance_id FROM dirty)) IS TRUE  -- a look-up, never a join
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
FROM within
GROUP BY scope, instance_id, object_id, outer_start
