-- Which InnoDB tablespaces are there, and how big is each? (needs PROCESS)
-- From 10.6 on only those that were opened since the server's start.
SELECT NAME,
    IF(NAME LIKE '%@%', CONVERT(CONVERT(CONVERT(
        REPLACE(REPLACE(NAME, '#', '@0023'), '/', '@002f')
        USING binary) USING filename) USING utf8mb4), NULL),
    FILE_SIZE, ALLOCATED_SIZE
FROM information_schema.INNODB_SYS_TABLESPACES
WHERE TRUE /* , of one schema only */
