-- What will objects grant that somebody creates later (ALTER DEFAULT PRIVILEGES), in one schema or in any?
SELECT d.defaclrole, n.nspname, d.defaclobjtype, d.defaclacl
FROM pg_default_acl AS d
LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
ORDER BY d.oid
