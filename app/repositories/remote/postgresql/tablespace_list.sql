-- Which tablespaces are there?
SELECT oid, spcname
FROM pg_tablespace
ORDER BY oid
