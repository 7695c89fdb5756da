-- The last states of one object over periods of one kind, the newest first.
SELECT start_on, seen, expected, estimated, min_bytes, max_bytes, sum_bytes,
    first_bytes, last_bytes, last_at
FROM capacity_rollups
WHERE object_id = %(object_id)s AND scope = %(scope)s AND period = %(period)s
    AND start_on <= %(until)s
ORDER BY start_on DESC
LIMIT %(limit)s
