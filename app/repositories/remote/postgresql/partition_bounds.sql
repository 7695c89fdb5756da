-- Between which bounds is each partition of the tables that are partitioned by range?
SELECT i.inhparent, CASE WHEN c.relnamespace <> t.relnamespace THEN quote_ident(n.nspname) || '.' ELSE '' END || c.relname,
       pg_get_expr(c.relpartbound, 0)
FROM pg_partitioned_table AS p
JOIN pg_class AS t ON t.oid = p.partrelid
JOIN pg_inherits AS i ON i.inhparent = p.partrelid
JOIN pg_class AS c ON c.oid = i.inhrelid AND c.relispartition
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE p.partstrat = 'r' AND c.oid <> p.partdefid
ORDER BY i.inhparent, c.oid
