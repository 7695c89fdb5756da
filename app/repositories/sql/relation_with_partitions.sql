-- How big is one relation, and each of its partitions? The relation itself first, then the biggest
WITH sizes AS MATERIALIZED (
    SELECT *
    FROM relation_sizes
    WHERE database_id = %(database_id)s AND collected_at = %(collected_at)s
)
SELECT
    r.id,
    r.schema_name,
    r.name,
    r.kind,
    r.first_seen_at,
    s.collected_at,
    s.exact_at,
    s.total_bytes,
    s.data_bytes,
    s.toast_bytes,
    s.index_bytes,
    s.free_bytes,
    s.allocated_bytes,
    s.row_estimate
FROM relations AS r
LEFT JOIN sizes AS s ON s.relation_id = r.id
WHERE r.closed_at IS NULL AND (r.id = %(relation_id)s OR r.parent_id = %(relation_id)s)
ORDER BY r.id = %(relation_id)s DESC, s.total_bytes DESC NULLS LAST, r.name, r.id
