-- What happens on the demo's PostgreSQL server overnight
CREATE ROLE mallory LOGIN;
GRANT engineers TO mallory WITH ADMIN OPTION;
ALTER ROLE bob CREATEROLE;
ALTER ROLE carol RENAME TO carol_smith;
REVOKE pg_execute_server_program FROM etl;
DROP ROLE "v-token-app-7Qk2";
