-- Which tables still have samples of these days?
WITH bounds AS (
    SELECT min(starts_at) AS first_at, max(ends_at) AS last_at
      FROM capacity_periods
     WHERE period = 'day' AND start_on = ANY (%(days)s::date[])
)
SELECT 'capacity_collections' AS table_name FROM bounds
 WHERE EXISTS (SELECT FROM capacity_collections
                WHERE collected_at >= bounds.first_at AND collected_at < bounds.last_at)
 UNION ALL
SELECT 'instance_sizes' FROM bounds
 WHERE EXISTS (SELECT FROM instance_sizes
                WHERE collected_at >= bounds.first_at AND collected_at < bounds.last_at)
 UNION ALL
SELECT 'database_sizes' FROM bounds
 WHERE EXISTS (SELECT FROM database_sizes
                WHERE collected_at >= bounds.first_at AND collected_at < bounds.last_at)
 UNION ALL
SELECT 'relation_sizes' FROM bounds
 WHERE EXISTS (SELECT FROM relation_sizes
                WHERE collected_at >= bounds.first_at AND collected_at < bounds.last_at)
 UNION ALL
SELECT 'storage_sizes' FROM bounds
 WHERE EXISTS (SELECT FROM storage_sizes
                WHERE collected_at >= bounds.first_at AND collected_at < bounds.last_at)
