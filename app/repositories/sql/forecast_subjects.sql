-- What is alive and has a size, how much of it may be used, and is it a person who says so?
WITH subjects AS (
    SELECT 'instance' AS scope, i.id AS object_id, i.id AS instance_id, NULL AS kind, NULL::bigint AS own_limit
    FROM instances AS i
    WHERE i.removed_at IS NULL
    UNION ALL
    SELECT 'database', d.id, d.instance_id, NULL, NULL
    FROM databases AS d
    JOIN instances AS i ON i.id = d.instance_id AND i.removed_at IS NULL
    WHERE d.closed_at IS NULL
    UNION ALL
    SELECT 'storage', s.id, s.instance_id, s.kind, z.limit_bytes
    FROM storages AS s
    JOIN instances AS i ON i.id = s.instance_id AND i.removed_at IS NULL
    LEFT JOIN storage_sizes AS z ON z.storage_id = s.id AND z.collected_at = s.sized_at
    WHERE s.closed_at IS NULL
)
SELECT
    o.scope,
    o.object_id,
    o.instance_id,
    coalesce(l.limit_bytes, o.own_limit) AS limit_bytes,
    CASE WHEN l.limit_bytes IS NOT NULL THEN 'threshold' WHEN o.own_limit IS NOT NULL THEN o.kind END
        AS limit_source
FROM subjects AS o
LEFT JOIN capacity_limits AS l ON l.scope = o.scope AND l.object_id = o.object_id
ORDER BY o.scope, o.object_id
