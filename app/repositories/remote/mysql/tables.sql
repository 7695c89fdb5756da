-- How does the engine split up the size of each of these tables? (opens each)
-- A table that is locked has zeros, and the warning for a comment.
SELECT TABLE_NAME, TABLE_TYPE, ENGINE, CREATE_OPTIONS, TABLE_ROWS, DATA_LENGTH, INDEX_LENGTH,
    DATA_FREE, TABLE_COMMENT
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = /* schema */ AND TABLE_NAME IN (/* tables */)
