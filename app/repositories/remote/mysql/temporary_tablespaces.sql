-- How much do the temporary tables of all sessions hold? (needs PROCESS)
SELECT SUM(SIZE) FROM information_schema.INNODB_SESSION_TEMP_TABLESPACES
