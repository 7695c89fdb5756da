-- Which tables does this database have, without opening any?
SELECT TABLE_NAME, TABLE_TYPE, ENGINE, CREATE_OPTIONS
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = /* schema */
