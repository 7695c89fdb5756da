-- The demo's database "crm": a table that everybody may read
CREATE SCHEMA crm AUTHORIZATION crm_owner;
SET ROLE crm_owner;
CREATE TABLE crm.contacts (id bigint PRIMARY KEY, name text, phone text);
CREATE TABLE crm.notes (contact_id bigint, written_at timestamptz, text text);
CREATE TYPE crm.stage AS ENUM ('lead', 'customer', 'lost');
RESET ROLE;
GRANT USAGE ON SCHEMA crm TO PUBLIC;
GRANT SELECT ON crm.contacts TO PUBLIC;
GRANT UPDATE (phone) ON crm.contacts TO helpdesk;
GRANT ALL ON SCHEMA public TO "bi-tool";
