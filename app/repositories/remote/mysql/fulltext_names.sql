-- Which tables of this database have FULLTEXT indexes?
SELECT DISTINCT TABLE_NAME
FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = /* schema */ AND INDEX_TYPE = 'FULLTEXT'
