-- What goes with a partition of a day that is partly there still: the collected parts as states.
INSERT INTO capacity_residues (
    table_name, start_on, instance_id, object_id, scope, seen, expected, estimated,
    sum_bytes, min_bytes, max_bytes, first_bytes, first_at, last_bytes, last_at
)
SELECT %(table)s, %(start_on)s::date, instance_id, object_id, scope,
    sum(seen), sum(expected), sum(estimated), sum(sum_bytes), min(min_bytes), max(max_bytes),
    (min(ARRAY[(date_part('epoch', first_at) * 1000000)::bigint, first_bytes])
        FILTER (WHERE first_at IS NOT NULL))[2],
    min(first_at),
    (max(ARRAY[(date_part('epoch', last_at) * 1000000)::bigint, last_bytes])
        FILTER (WHERE last_at IS NOT NULL))[2],
    max(last_at)
FROM day_parts
GROUP BY scope, instance_id, object_id
