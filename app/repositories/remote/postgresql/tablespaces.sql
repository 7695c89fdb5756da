-- Which tablespaces are there, whose are they, and what does each ACL say?
SELECT spcname, spcowner, spcacl
FROM pg_tablespace
ORDER BY oid
