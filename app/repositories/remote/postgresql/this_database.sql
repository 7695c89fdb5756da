-- Which database is this, whatever its name is by now?
SELECT oid FROM pg_database WHERE datname = current_database()
