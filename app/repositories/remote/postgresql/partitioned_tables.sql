-- Which tables are partitioned, how, by what, into how many; and what is in the default partition, as far as its statistics say?
-- pg_get_partkeydef waits for locks: it is only asked for expressions, and not on what somebody has locked against everybody.
SELECT p.partrelid, p.partstrat,
       CASE WHEN 0 = ANY (p.partattrs::int2[]) AND p.partrelid NOT IN (
         SELECT relation FROM pg_locks
         WHERE locktype = 'relation' AND mode = 'AccessExclusiveLock'
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       ) THEN pg_get_partkeydef(p.partrelid)
       ELSE CASE p.partstrat WHEN 'r' THEN 'RANGE' WHEN 'l' THEN 'LIST' ELSE 'HASH' END || ' (' || array_to_string(ARRAY(
         SELECT coalesce(quote_ident(a.attname), '(an expression)')
         FROM unnest(p.partattrs::int2[]) WITH ORDINALITY AS k(number, place)
         LEFT JOIN pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = k.number AND k.number <> 0
         ORDER BY k.place
       ), ', ') || ')' END,
       parts.number,
       array_to_string(ARRAY(
         SELECT o.opcintype::regtype
         FROM unnest(p.partclass::oid[]) WITH ORDINALITY AS k(class, place) JOIN pg_opclass AS o ON o.oid = k.class
         ORDER BY k.place
       ), ','),
       CASE WHEN d.relnamespace <> t.relnamespace THEN quote_ident(dn.nspname) || '.' ELSE '' END || d.relname,
       CASE WHEN d.relkind = 'r' AND d.reltuples >= 0 AND (d.relpages > 0
         OR true -- 14+
       ) THEN d.reltuples::bigint END
FROM pg_partitioned_table AS p
JOIN pg_class AS t ON t.oid = p.partrelid
LEFT JOIN pg_class AS d ON d.oid = p.partdefid
LEFT JOIN pg_namespace AS dn ON dn.oid = d.relnamespace
CROSS JOIN LATERAL (SELECT count(*) AS number FROM pg_inherits AS i WHERE i.inhparent = p.partrelid) AS parts
ORDER BY p.partrelid
