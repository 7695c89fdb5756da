-- Which relations of these databases were the biggest when they were last sized? Partitions within their parents
SELECT
    r.id,
    i.name AS instance,
    d.id AS database_id,
    d.name AS database,
    r.schema_name,
    r.name,
    r.kind,
    s.collected_at,
    s.exact_at,
    s.total_bytes,
    s.data_bytes,
    s.toast_bytes,
    s.index_bytes,
    s.free_bytes,
    s.allocated_bytes,
    s.row_estimate
FROM unnest(%(database_ids)s::integer[]) AS wanted(id)
JOIN databases AS d ON d.id = wanted.id
JOIN instances AS i ON i.id = d.instance_id
CROSS JOIN LATERAL (
    SELECT s.*
    FROM relation_sizes AS s
    JOIN relations AS k ON k.id = s.relation_id AND k.kind <> 'partition' AND k.closed_at IS NULL
    WHERE s.database_id = d.id AND s.collected_at = d.relations_at
    ORDER BY s.total_bytes DESC, k.id
    LIMIT %(limit)s
) AS s
JOIN relations AS r ON r.id = s.relation_id
ORDER BY s.total_bytes DESC, r.id
LIMIT %(limit)s
