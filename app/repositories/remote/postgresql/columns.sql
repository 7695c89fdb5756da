-- Which columns carry an ACL of their own, and what does it say, by oid: grantee/grantor/privilege[*]?
SELECT n.nspname, c.relname, a.attname, c.relowner, c.oid < 16384,
       (SELECT string_agg(x.grantee || '/' || x.grantor || '/' || x.privilege_type
                          || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ',') FROM aclexplode(a.attacl) AS x),
       (SELECT string_agg(x.grantee || '/' || x.grantor || '/' || x.privilege_type
                          || CASE WHEN x.is_grantable THEN '*' ELSE '' END, ',') FROM aclexplode(i.initprivs) AS x)
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_init_privs AS i
  ON i.objoid = c.oid AND i.classoid = 'pg_class'::regclass AND i.objsubid = a.attnum AND c.oid < 16384
WHERE NOT a.attisdropped AND c.relpersistence <> 't'
  AND (a.attacl IS NOT NULL OR i.initprivs IS NOT NULL)
  AND (c.oid >= 16384 OR a.attacl IS DISTINCT FROM i.initprivs)
ORDER BY a.attrelid, a.attnum
