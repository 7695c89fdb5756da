-- Which InnoDB tables have no tablespace in that list: in the system tablespace, or not opened since
-- the server's start? (needs PROCESS)
SELECT NAME,
    IF(NAME LIKE '%@%', CONVERT(CONVERT(CONVERT(
        REPLACE(REPLACE(NAME, '#', '@0023'), '/', '@002f')
        USING binary) USING filename) USING utf8mb4), NULL),
    SPACE = 0
FROM information_schema.INNODB_SYS_TABLES
WHERE NAME LIKE '%/%'
    AND (SPACE = 0 OR SPACE NOT IN (SELECT SPACE FROM information_schema.INNODB_SYS_TABLESPACES))
