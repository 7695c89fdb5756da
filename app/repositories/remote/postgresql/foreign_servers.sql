-- Which foreign data wrappers and foreign servers are there, whose are they, and what does each ACL say?
SELECT 'foreign data wrapper', fdwname, NULL, fdwowner, fdwacl, false, NULL
FROM pg_foreign_data_wrapper
UNION ALL
SELECT 'foreign server', srvname, NULL, srvowner, srvacl, false, NULL
FROM pg_foreign_server
ORDER BY 1, 2
