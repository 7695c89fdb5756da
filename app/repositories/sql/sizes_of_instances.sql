-- How big was each instance when it was last sized, and when was it last collected? The biggest first
SELECT
    i.id,
    i.name AS instance,
    i.engine,
    i.server_version AS version,
    s.collected_at,
    s.total_bytes,
    s.known_bytes,
    s.database_count,
    s.unsized_databases,
    c.collected_at AS last_collected_at,
    c.ended_at AS last_ended_at,
    u.reason AS unsized_reason,
    u.remedy AS unsized_remedy,
    u.since AS unsized_since,
    sum(s.known_bytes) OVER () AS all_bytes
FROM instances AS i
LEFT JOIN LATERAL (
    SELECT *
    FROM instance_sizes
    WHERE instance_id = i.id
    ORDER BY collected_at DESC
    LIMIT 1
) AS s ON true
LEFT JOIN LATERAL (
    SELECT collected_at, ended_at
    FROM capacity_collections
    WHERE instance_id = i.id
    ORDER BY collected_at DESC
    LIMIT 1
) AS c ON true
LEFT JOIN unsized_objects AS u
    ON u.instance_id = i.id AND u.database_id IS NULL AND u.kind = 'instance'
WHERE i.removed_at IS NULL
  AND (%(instance_id)s::integer IS NULL OR i.id = %(instance_id)s)
ORDER BY s.known_bytes DESC NULLS LAST, i.name
LIMIT %(limit)s
