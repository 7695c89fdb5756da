-- What happens in the demo's database "orders" overnight
GRANT DELETE ON shop.customers TO "bi-tool";
REVOKE DELETE ON shop.items FROM writers;
