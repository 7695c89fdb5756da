-- Which relations of this database hold bytes, whose part is each, how big was each when it was last vacuumed or analyzed (and may
-- it be by what was counted since), and what changes whenever its files may have changed? Catalogs: see system_catalog_sizes.sql.
WITH indexes AS MATERIALIZED (
  SELECT x.indrelid, sum(f.relpages) AS pages, sum(f.relfilenode::bigint << 31 | f.relpages) AS mark
  FROM pg_index AS x JOIN pg_class AS f ON f.oid = x.indexrelid
  GROUP BY x.indrelid
)
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, part.inhparent,
       c.relpages * b.bytes, (coalesce(t.relpages, 0) + coalesce(ti.pages, 0)) * b.bytes, coalesce(i.pages, 0) * b.bytes,
       greatest(c.relpages * b.bytes, pg_stat_get_live_tuples(c.oid) * 64)
         + coalesce(greatest(t.relpages * b.bytes, pg_stat_get_live_tuples(t.oid) * 2000), 0) + coalesce(i.pages, 0) * b.bytes,
       c.relpages > 0 OR (b.counted AND pg_stat_get_tuples_inserted(c.oid) = 0),
       CASE WHEN c.relkind <> 'S' AND c.reltuples >= 0 AND (c.relpages > 0
         OR true -- 14+
       ) THEN c.reltuples::bigint END,
       CASE WHEN b.counted THEN hashtextextended(concat_ws(' ',
         b.counted_since, c.relfilenode, c.reltablespace, c.relpages, t.relfilenode, t.relpages, i.mark, ti.mark,
         pg_stat_get_tuples_inserted(c.oid), pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_deleted(c.oid),
         pg_stat_get_vacuum_count(c.oid), pg_stat_get_autovacuum_count(c.oid),
         pg_stat_get_tuples_inserted(t.oid), pg_stat_get_tuples_deleted(t.oid),
         pg_stat_get_vacuum_count(t.oid), pg_stat_get_autovacuum_count(t.oid)
       ), 0) & 9223372036854775807 END
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN (
  SELECT current_setting('block_size')::bigint AS bytes, pg_postmaster_start_time() AS counted_since,
         current_setting('track_counts') = 'on' AND NOT pg_is_in_recovery() AS counted
) AS b
LEFT JOIN pg_inherits AS part ON part.inhrelid = c.oid AND c.relispartition
LEFT JOIN pg_class AS t ON t.oid = c.reltoastrelid
LEFT JOIN indexes AS i ON i.indrelid = c.oid
LEFT JOIN indexes AS ti ON ti.indrelid = t.oid
WHERE c.relkind IN ('r', 'm', 'p', 'S')
  AND (n.nspname NOT IN ('pg_catalog', 'information_schema') OR c.oid = 'pg_largeobject'::regclass)
