-- Which tables and views does this database have, without opening any? (their names alone tell)
SELECT TABLE_NAME, NULL, NULL, NULL
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = /* schema */
