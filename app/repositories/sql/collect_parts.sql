-- Each sample and each expectation of some instances in a span, as parts of a state that add up.
-- tables: which ones are asked; of the late ones among them rows are not only read but taken away.
WITH taken_collections AS (
    DELETE FROM capacity_collections
    WHERE 'capacity_collections' = ANY (%(late)s::text[])
        AND collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR instance_id = ANY (%(instances)s::integer[]))
    RETURNING instance_id, collected_at
),
taken_instances AS (
    DELETE FROM instance_sizes
    WHERE 'instance_sizes' = ANY (%(late)s::text[])
        AND collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR instance_id = ANY (%(instances)s::integer[]))
    RETURNING instance_id, collected_at, total_bytes
),
taken_databases AS (
    DELETE FROM database_sizes
    WHERE 'database_sizes' = ANY (%(late)s::text[])
        AND collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR instance_id = ANY (%(instances)s::integer[]))
    RETURNING instance_id, database_id, collected_at, total_bytes
),
taken_relations AS (
    DELETE FROM relation_sizes
    WHERE 'relation_sizes' = ANY (%(late)s::text[])
        AND collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR database_id IN (
            SELECT id FROM databases WHERE instance_id = ANY (%(instances)s::integer[])))
    RETURNING database_id, relation_id, collected_at, exact_at, total_bytes
),
taken_storages AS (
    DELETE FROM storage_sizes
    WHERE 'storage_sizes' = ANY (%(late)s::text[])
        AND collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR instance_id = ANY (%(instances)s::integer[]))
    RETURNING instance_id, storage_id, collected_at, used_bytes
),
samples (scope, instance_id, object_id, collected_at, bytes, estimated, late) AS (
    SELECT 'instance', instance_id, instance_id, collected_at, total_bytes, 0, true
    FROM taken_instances WHERE total_bytes IS NOT NULL
    UNION ALL
    SELECT 'instance', instance_id, instance_id, collected_at, total_bytes, 0, false
    FROM instance_sizes
    WHERE 'instance_sizes' = ANY (%(tables)s::text[])
        AND 'instance_sizes' <> ALL (%(late)s::text[])
        AND collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR instance_id = ANY (%(instances)s::integer[]))
        AND total_bytes IS NOT NULL
    UNION ALL
    SELECT 'database', instance_id, database_id, collected_at, total_bytes, 0, true
    FROM taken_databases
    UNION ALL
    SELECT 'database', instance_id, database_id, collected_at, total_bytes, 0, false
    FROM database_sizes
    WHERE 'database_sizes' = ANY (%(tables)s::text[])
        AND 'database_sizes' <> ALL (%(late)s::text[])
        AND collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR instance_id = ANY (%(instances)s::integer[]))
    UNION ALL
    SELECT 'relation', d.instance_id, r.relation_id, r.collected_at, r.total_bytes,
        (r.exact_at IS NULL)::integer, r.late
    FROM (
        SELECT database_id, relation_id, collected_at, exact_at, total_bytes, true AS late
        FROM taken_relations
        UNION ALL
        SELECT database_id, relation_id, collected_at, exact_at, total_bytes, false
        FROM relation_sizes
        WHERE 'relation_sizes' = ANY (%(tables)s::text[])
            AND 'relation_sizes' <> ALL (%(late)s::text[])
            AND collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
    ) AS r
    JOIN databases AS d ON d.id = r.database_id
    WHERE %(everything)s OR d.instance_id = ANY (%(instances)s::integer[])
    UNION ALL
    SELECT 'storage', instance_id, storage_id, collected_at, used_bytes, 0, true
    FROM taken_storages
    UNION ALL
    SELECT 'storage', instance_id, storage_id, collected_at, used_bytes, 0, false
    FROM storage_sizes
    WHERE 'storage_sizes' = ANY (%(tables)s::text[])
        AND 'storage_sizes' <> ALL (%(late)s::text[])
        AND collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR instance_id = ANY (%(instances)s::integer[]))
),
collections AS (
    SELECT instance_id, collected_at, true AS late FROM taken_collections
    UNION ALL
    SELECT instance_id, collected_at, false FROM capacity_collections
    WHERE 'capacity_collections' = ANY (%(tables)s::text[])
        AND 'capacity_collections' <> ALL (%(late)s::text[])
        AND collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR instance_id = ANY (%(instances)s::integer[]))
),
objects (scope, object_id, instance_id, first_seen_at, closed_at) AS (
    SELECT 'instance', id, id, NULL, NULL FROM instances
    UNION ALL
    SELECT 'database', id, instance_id, first_seen_at, closed_at FROM databases
    UNION ALL
    SELECT 'relation', r.id, d.instance_id, r.first_seen_at, r.closed_at
    FROM relations AS r JOIN databases AS d ON d.id = r.database_id
    UNION ALL
    SELECT 'storage', id, instance_id, first_seen_at, closed_at FROM storages
)
INSERT INTO day_parts (
    scope, instance_id, object_id, late, seen, expected, estimated,
    sum_bytes, min_bytes, max_bytes, first_bytes, first_at, last_bytes, last_at
)
SELECT scope, instance_id, object_id, late, 1, 0, estimated,
    bytes, bytes, bytes, bytes, collected_at, bytes, collected_at
FROM samples
UNION ALL
SELECT o.scope, o.instance_id, o.object_id, c.late, 0, 1, 0,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM collections AS c JOIN objects AS o USING (instance_id)
WHERE coalesce(o.first_seen_at <= c.collected_at, true)
    AND coalesce(o.closed_at > c.collected_at, true)
