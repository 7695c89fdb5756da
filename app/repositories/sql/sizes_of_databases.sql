-- How big was each database when it was last sized, and when was its instance last collected? The biggest first
SELECT
    biggest.*,
    c.collected_at AS last_collected_at
FROM (
    SELECT
        d.id,
        d.instance_id,
        i.name AS instance,
        d.name,
        d.relations_at,
        s.collected_at,
        s.total_bytes,
        s.data_bytes,
        s.index_bytes,
        s.free_bytes,
        s.allocated_bytes,
        s.error_bytes,
        s.relation_count,
        s.exact_relations,
        s.estimated_relations,
        s.unsized_relations,
        sum(s.total_bytes) OVER () AS all_bytes
    FROM databases AS d
    JOIN instances AS i ON i.id = d.instance_id AND i.removed_at IS NULL
    -- the limit keeps it one look into one partition for each database
    LEFT JOIN LATERAL (
        SELECT *
        FROM database_sizes AS s
        WHERE s.database_id = d.id AND s.collected_at = d.sized_at
        LIMIT 1
    ) AS s ON true
    WHERE d.closed_at IS NULL
      AND (%(instance_id)s::integer IS NULL OR d.instance_id = %(instance_id)s)
      AND (%(name)s::text IS NULL OR d.name = %(name)s)
    ORDER BY s.total_bytes DESC NULLS LAST, i.name, d.name, d.id
    LIMIT %(limit)s
) AS biggest
LEFT JOIN LATERAL (
    SELECT collected_at
    FROM capacity_collections
    WHERE instance_id = biggest.instance_id
    ORDER BY collected_at DESC
    LIMIT 1
) AS c ON true
ORDER BY biggest.total_bytes DESC NULLS LAST, biggest.instance, biggest.name, biggest.id
