-- Which databases are there, whose are they, what does each ACL say, and may we connect?
SELECT oid, datname, datdba, datallowconn, datistemplate, datconnlimit,
       coalesce(has_database_privilege(oid, 'CONNECT'), false), datacl
FROM pg_database
ORDER BY oid
