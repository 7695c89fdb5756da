-- Which schemas are there, whose are they, and what does each ACL say? Built-in ones only where it was changed
-- (information_schema comes usable by PUBLIC); those of other sessions' temporary objects not at all.
SELECT 'schema', n.nspname, NULL, n.nspowner, n.nspacl, n.oid < 16384 AND n.nspname <> 'public', i.acl
FROM pg_namespace AS n
LEFT JOIN pg_init_privs AS p
  ON p.objoid = n.oid AND p.classoid = 'pg_namespace'::regclass AND p.objsubid = 0
CROSS JOIN LATERAL (
  SELECT CASE WHEN n.oid >= 16384 OR n.nspname = 'public' THEN NULL
              WHEN n.nspname = 'information_schema'
              THEN acldefault('n', 10) || makeaclitem(0, 10, 'USAGE', false)
              ELSE p.initprivs END
) AS i (acl)
WHERE n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
  AND (n.oid >= 16384 OR n.nspname = 'public' OR n.nspowner <> 10 OR n.nspacl IS DISTINCT FROM i.acl)
ORDER BY n.oid
