-- How full was each tablespace and volume when it was last sized? The fullest bytes first
SELECT
    biggest.*,
    c.collected_at AS last_collected_at
FROM (
    SELECT
        o.id,
        o.instance_id,
        i.name AS instance,
        o.name,
        o.kind,
        s.collected_at,
        s.used_bytes,
        s.free_bytes,
        s.limit_bytes
    FROM storages AS o
    JOIN instances AS i ON i.id = o.instance_id AND i.removed_at IS NULL
    -- the limit keeps it one look into one partition for each storage
    LEFT JOIN LATERAL (
        SELECT *
        FROM storage_sizes AS s
        WHERE s.storage_id = o.id AND s.collected_at = o.sized_at
        LIMIT 1
    ) AS s ON true
    WHERE o.closed_at IS NULL
      AND (%(instance_id)s::integer IS NULL OR o.instance_id = %(instance_id)s)
    ORDER BY s.used_bytes DESC NULLS LAST, i.name, o.kind, o.name, o.id
    LIMIT %(limit)s
) AS biggest
LEFT JOIN LATERAL (
    SELECT collected_at
    FROM capacity_collections
    WHERE instance_id = biggest.instance_id
    ORDER BY collected_at DESC
    LIMIT 1
) AS c ON true
ORDER BY biggest.used_bytes DESC NULLS LAST, biggest.instance, biggest.kind, biggest.name, biggest.id
