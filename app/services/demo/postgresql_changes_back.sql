-- The demo's PostgreSQL server, the night after: what was done is undone
DROP ROLE mallory;
ALTER ROLE bob NOCREATEROLE;
ALTER ROLE carol_smith RENAME TO carol;
GRANT pg_execute_server_program TO etl;
CREATE ROLE "v-token-app-7Qk2" LOGIN VALID UNTIL '2026-01-01 00:00+00';
