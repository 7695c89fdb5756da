-- How many bytes does each partition of a table have, with its indexes and what is below it?
SELECT part.relname AS name,
       CASE part.relkind
           WHEN 'p' THEN (SELECT coalesce(sum(pg_total_relation_size(tree.relid)), 0)
                            FROM pg_partition_tree(part.oid) AS tree)
           ELSE coalesce(pg_total_relation_size(part.oid), 0)
       END::bigint AS bytes
  FROM pg_inherits AS inherits
  JOIN pg_class AS part ON part.oid = inherits.inhrelid
 WHERE inherits.inhparent = to_regclass(%(table_name)s)
