-- How many entries of one severity class are kept, about, how big are they, how old is the oldest?
SELECT
    sum(greatest(class.reltuples, pg_stat_get_live_tuples(class.oid), 0))::bigint AS row_count,
    sum(pg_total_relation_size(tree.relid))::bigint AS total_bytes,
    (
        SELECT min(entry.occurred_at)
        FROM log_entries AS entry
        WHERE entry.severity_class = %(severity_class)s::text
    ) AS oldest_at
FROM pg_partition_tree('log_entries_' || %(severity_class)s::text) AS tree
JOIN pg_class AS class ON class.oid = tree.relid
WHERE tree.isleaf
