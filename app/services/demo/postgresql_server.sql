-- What the demo's PostgreSQL server holds besides its databases: people, applications, roles in roles, and mistakes
CREATE ROLE readers NOLOGIN;
CREATE ROLE writers NOLOGIN;
CREATE ROLE engineers NOLOGIN;
CREATE ROLE oncall NOLOGIN NOINHERIT;
CREATE ROLE orders_owner NOLOGIN;
CREATE ROLE crm_owner NOLOGIN;

CREATE ROLE app_orders LOGIN CONNECTION LIMIT 50;
CREATE ROLE app_crm LOGIN;
CREATE ROLE etl LOGIN;
CREATE ROLE "bi-tool" LOGIN VALID UNTIL 'infinity';
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN VALID UNTIL '2030-01-01 00:00+00';
CREATE ROLE carol LOGIN NOINHERIT;
CREATE ROLE "陈伟" LOGIN;
CREATE ROLE "v-token-app-7Qk2" LOGIN VALID UNTIL '2026-01-01 00:00+00';

-- roles in roles in roles
GRANT readers TO writers;
GRANT writers TO engineers;
GRANT engineers TO alice, "陈伟";
GRANT readers TO "bi-tool", bob;
GRANT orders_owner TO app_orders;
GRANT crm_owner TO app_crm;
GRANT oncall TO alice WITH ADMIN OPTION;
GRANT pg_monitor TO oncall;

-- classic mistakes
CREATE ROLE deploy LOGIN SUPERUSER;
CREATE ROLE helpdesk LOGIN CREATEROLE;
GRANT pg_execute_server_program TO etl;
GRANT pg_write_all_data TO "bi-tool";
