-- Which languages are there, whose are they, and what does each ACL say? Built-in ones only where it was changed. An
-- untrusted language is for superusers alone, whatever its ACL says.
SELECT CASE WHEN l.lanpltrusted THEN 'language' ELSE 'untrusted language' END,
       l.lanname, NULL, l.lanowner, l.lanacl, l.oid < 16384, i.initprivs
FROM pg_language AS l
LEFT JOIN pg_init_privs AS i
  ON i.objoid = l.oid AND i.classoid = 'pg_language'::regclass AND i.objsubid = 0 AND l.oid < 16384
WHERE l.oid >= 16384 OR l.lanowner <> 10 OR l.lanacl IS DISTINCT FROM i.initprivs
ORDER BY l.oid
