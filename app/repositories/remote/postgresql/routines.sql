-- Which functions, aggregates and procedures are there, whose are they, and what does each ACL say? Built-in ones only
-- where it was changed.
SELECT p.prokind, n.nspname,
       quote_ident(p.proname) || '(' || array_to_string(p.proargtypes::regtype[], ', ') || ')',
       p.proowner, p.proacl, p.oid < 16384, i.initprivs
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
LEFT JOIN pg_init_privs AS i
  ON i.objoid = p.oid AND i.classoid = 'pg_proc'::regclass AND i.objsubid = 0 AND p.oid < 16384
WHERE n.nspname !~ '^pg_(toast_)?temp_'
  AND (p.oid >= 16384 OR p.proowner <> 10 OR p.proacl IS DISTINCT FROM i.initprivs)
ORDER BY p.oid
