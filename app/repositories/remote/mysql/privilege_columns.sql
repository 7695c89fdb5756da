-- Which privileges do the tables of this server's version have a column for?
SELECT TABLE_NAME, COLUMN_NAME
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME IN ('user', 'db') AND COLUMN_NAME LIKE '%\_priv'
ORDER BY TABLE_NAME, ORDINAL_POSITION
