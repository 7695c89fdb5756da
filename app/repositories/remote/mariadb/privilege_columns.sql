-- Which privileges does mysql.db of this server's version have a column for?
SELECT TABLE_NAME, COLUMN_NAME
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME IN ('db') AND COLUMN_NAME LIKE '%\_priv'
ORDER BY TABLE_NAME, ORDINAL_POSITION
