-- A day's articles and movements
INSERT INTO shop.articles (id, name, price)
WITH RECURSIVE ones AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM ones WHERE n < 100),
    many AS (SELECT (a.n - 1) * 100 + b.n AS n FROM ones AS a CROSS JOIN ones AS b)
SELECT coalesce((SELECT max(id) FROM shop.articles), 0) + n, CONCAT('article ', n, REPEAT('.', 80)), n % 90 FROM many;
INSERT INTO shop.stock (article_id, amount) SELECT id, id % 7 FROM shop.articles ORDER BY id DESC LIMIT 10000;
