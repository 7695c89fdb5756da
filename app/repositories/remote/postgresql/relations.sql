-- Which tables, views and sequences are there, whose are they, and what does each ACL say? Built-in ones only where
-- it was changed (those of information_schema come readable by PUBLIC); other sessions' temporary ones not at all.
SELECT c.relkind, n.nspname, c.relname, c.relowner, c.relacl, c.oid < 16384, i.initprivs
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN (
  SELECT objoid, initprivs FROM pg_init_privs WHERE classoid = 'pg_class'::regclass AND objsubid = 0
  UNION ALL
  SELECT oid, acldefault('r', 10) || makeaclitem(0, 10, 'SELECT', false)
  FROM pg_class
  WHERE relnamespace = 'information_schema'::regnamespace AND relname !~ '^_pg_' AND relname NOT IN ('sql_parts', 'transforms')
) AS i ON i.objoid = c.oid AND c.oid < 16384
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
  AND (c.oid >= 16384 OR c.relowner <> 10 OR c.relacl IS DISTINCT FROM i.initprivs)
ORDER BY c.oid
