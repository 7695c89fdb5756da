-- A day's orders, with their items
INSERT INTO shop.orders (id, customer_id, placed_at, total)
SELECT last + n, n % 500, now() - n * interval '1 second', n % 90 + 10
FROM (SELECT coalesce(max(id), 0) AS last FROM shop.orders) AS before, generate_series(1, 20000) AS n;
INSERT INTO shop.items (order_id, position, article, price)
SELECT id, 1, 'article ' || id % 1000 || repeat('.', 60), total FROM shop.orders ORDER BY id DESC LIMIT 20000;
