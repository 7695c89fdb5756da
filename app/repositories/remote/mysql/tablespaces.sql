-- Which InnoDB tablespaces are there, and how big is each? (needs PROCESS)
SELECT NAME, FILE_SIZE, ALLOCATED_SIZE, SPACE_TYPE
FROM information_schema.INNODB_TABLESPACES
WHERE TRUE /* , of one schema only */
