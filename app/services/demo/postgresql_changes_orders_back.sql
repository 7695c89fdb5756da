-- The demo's database "orders", the night after: what was done is undone
REVOKE DELETE ON shop.customers FROM "bi-tool";
GRANT DELETE ON shop.items TO writers;
