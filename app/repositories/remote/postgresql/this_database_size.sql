-- How many bytes does this database hold, all files together?
SELECT pg_database_size(oid) FROM pg_database WHERE datname = current_database()
