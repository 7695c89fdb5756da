-- How big are the tablespaces that hold more than one table, how much is free in them, and what is
-- their maximum? (needs PROCESS)
SELECT TABLESPACE_NAME, MAX(TOTAL_EXTENTS * EXTENT_SIZE), MAX(DATA_FREE), COUNT(*),
    SUM(MAXIMUM_SIZE), COUNT(MAXIMUM_SIZE)
FROM information_schema.FILES
WHERE ENGINE = 'InnoDB' AND TABLESPACE_NAME NOT LIKE '%/%'
GROUP BY TABLESPACE_NAME
