-- What grew most in one period, of one scope: its state, and its last size one period earlier.
-- Partitions are left out: their partitioned table has their sum.
SELECT r.object_id, i.name AS instance,
    coalesce(db.name, d.name) AS database, t.schema_name AS schema,
    coalesce(t.name, s.name, d.name, i.name) AS name, t.kind,
    r.seen, r.expected, r.estimated, r.min_bytes, r.max_bytes, r.sum_bytes,
    r.first_bytes, r.last_bytes, r.last_at, p.last_bytes AS previous_bytes,
    r.last_bytes - p.last_bytes AS growth_bytes
FROM capacity_rollups AS r
LEFT JOIN capacity_rollups AS p
    ON p.period = %(period)s AND p.scope = %(scope)s AND p.start_on = %(previous)s
        AND p.object_id = r.object_id
JOIN instances AS i ON i.id = r.instance_id
LEFT JOIN relations AS t ON %(scope)s = 'relation' AND t.id = r.object_id
LEFT JOIN databases AS d ON %(scope)s = 'database' AND d.id = r.object_id
LEFT JOIN databases AS db ON db.id = t.database_id
LEFT JOIN storages AS s ON %(scope)s = 'storage' AND s.id = r.object_id
WHERE r.period = %(period)s AND r.scope = %(scope)s AND r.start_on = %(start_on)s
    AND i.removed_at IS NULL
    AND (%(instance_id)s::integer IS NULL OR r.instance_id = %(instance_id)s)
    AND (%(database_id)s::integer IS NULL OR t.database_id = %(database_id)s)
    AND t.kind IS DISTINCT FROM 'partition'
ORDER BY growth_bytes DESC NULLS LAST, r.last_bytes DESC NULLS LAST, instance, database, name
LIMIT %(limit)s
