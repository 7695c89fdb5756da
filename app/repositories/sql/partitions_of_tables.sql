-- Which partitions do these tables have, and from when to when? (A bound that is no moment, or too far away for a calendar, is the nearest one that is.)
WITH parts AS (
    SELECT parent.relname AS table_name,
           part.oid,
           part.relname AS name,
           part.oid::regclass::text AS quoted_name,
           part.oid = partitioned.partdefid AS is_default,
           greatest(part.reltuples, pg_stat_get_live_tuples(part.oid), 0)::bigint AS row_estimate,
           greatest(part.relpages, 0)::bigint * current_setting('block_size')::bigint
               AS byte_estimate,
           key.atttypid = 'date'::regtype AS of_days,
           regexp_match(
               pg_get_expr(part.relpartbound, part.oid),
               $$^FOR VALUES FROM \('?([^']*?)'?\) TO \('?([^']*?)'?\)$$
           ) AS bounds
      FROM unnest(%(tables)s::text[]) AS wanted (table_name)
      JOIN pg_class AS parent ON parent.oid = to_regclass(wanted.table_name)
      JOIN pg_partitioned_table AS partitioned ON partitioned.partrelid = parent.oid
      JOIN pg_attribute AS key
        ON key.attrelid = parent.oid AND key.attnum = partitioned.partattrs[0]
      JOIN pg_inherits AS inherits ON inherits.inhparent = parent.oid
      JOIN pg_class AS part ON part.oid = inherits.inhrelid
), edges AS (
    SELECT parts.*,
           CASE bounds[1] WHEN 'MINVALUE' THEN '-infinity' ELSE bounds[1] END AS first,
           CASE bounds[2] WHEN 'MAXVALUE' THEN 'infinity' ELSE bounds[2] END AS following
      FROM parts
), moments AS (
    SELECT edges.*,
           CASE WHEN of_days THEN first::date::timestamp AT TIME ZONE 'UTC'
                ELSE first::timestamptz END AS lower,
           CASE WHEN of_days THEN following::date::timestamp AT TIME ZONE 'UTC'
                ELSE following::timestamptz END AS upper
      FROM edges
)
SELECT table_name, name, quoted_name, is_default, row_estimate, byte_estimate,
       greatest(lower, %(earliest)s::timestamptz) AS lower,
       least(upper, %(latest)s::timestamptz) AS upper
  FROM moments
 WHERE is_default OR lower IS NOT NULL
 ORDER BY table_name, is_default, lower
