-- The demo's database "orders": an ordinary application with column grants and default privileges
CREATE SCHEMA shop AUTHORIZATION orders_owner;
SET ROLE orders_owner;
CREATE TABLE shop.customers (id bigint PRIMARY KEY, name text, email text, card_number text);
CREATE TABLE shop.orders (id bigint PRIMARY KEY, customer_id bigint, placed_at timestamptz, total numeric);
CREATE TABLE shop.items (order_id bigint, position integer, article text, price numeric);
CREATE SEQUENCE shop.order_numbers;
CREATE VIEW shop.revenue AS SELECT date_trunc('day', placed_at) AS day, sum(total) AS total FROM shop.orders GROUP BY 1;
CREATE FUNCTION shop.cancel_order(bigint) RETURNS void LANGUAGE sql SECURITY DEFINER
    BEGIN ATOMIC DELETE FROM shop.orders WHERE id = $1; END;
GRANT USAGE ON SCHEMA shop TO readers;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO readers;
REVOKE SELECT ON shop.customers FROM readers;
GRANT SELECT (id, name) ON shop.customers TO readers;
GRANT INSERT, UPDATE, DELETE ON shop.orders, shop.items TO writers;
GRANT USAGE ON SEQUENCE shop.order_numbers TO writers;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO readers;
RESET ROLE;
-- a classic mistake: nobody took EXECUTE on a SECURITY DEFINER function away from PUBLIC
GRANT TRUNCATE ON shop.orders TO etl WITH GRANT OPTION;
