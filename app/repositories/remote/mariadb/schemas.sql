-- Which databases are there that we may see, and that hold files?
SELECT SCHEMA_NAME
FROM information_schema.SCHEMATA
WHERE LOWER(SCHEMA_NAME) NOT IN ('information_schema', 'performance_schema')
ORDER BY SCHEMA_NAME
