-- Which tables are called like partitions of these tables without being any?
SELECT wanted.table_name,
       lone.relname AS name,
       lone.oid::regclass::text AS quoted_name
  FROM unnest(%(tables)s::text[]) AS wanted (table_name)
  JOIN pg_class AS parent ON parent.oid = to_regclass(wanted.table_name)
  JOIN pg_class AS lone
    ON lone.relnamespace = parent.relnamespace
   AND lone.relname ~ ('^' || wanted.table_name || '_(default|[0-9]{4}(_[0-9]{2}){0,2}(_from_[0-9]+)?)$')
 WHERE lone.relkind = 'r' AND NOT lone.relispartition
 ORDER BY 1, 2
