-- Which types and domains are there, whose are they, and what does each ACL say? Built-in ones, row types of tables and
-- multiranges only where it was changed; arrays have none of their own.
SELECT CASE WHEN t.typtype = 'd' THEN 'domain'
            WHEN t.typtype = 'm' THEN 'multirange type'
            WHEN c.relkind <> 'c' THEN 'row type'
            ELSE 'type' END,
       n.nspname, t.typname, t.typowner, t.typacl, t.oid < 16384, i.initprivs
FROM pg_type AS t
JOIN pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_class AS c ON c.oid = t.typrelid
LEFT JOIN pg_init_privs AS i
  ON i.objoid = t.oid AND i.classoid = 'pg_type'::regclass AND i.objsubid = 0 AND t.oid < 16384
WHERE n.nspname !~ '^pg_(toast|temp_|toast_temp_)' AND t.typtype <> 'p'
  AND (t.oid >= 16384 OR t.typowner <> 10 OR t.typacl IS DISTINCT FROM i.initprivs)
  AND (t.typacl IS NOT NULL
       OR t.typtype <> 'm'
          AND c.relkind IS NOT DISTINCT FROM CASE WHEN t.typtype = 'c' THEN 'c'::"char" END
          AND NOT EXISTS (SELECT FROM pg_type AS element WHERE element.typarray = t.oid))
ORDER BY t.oid
