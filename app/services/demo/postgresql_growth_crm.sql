-- A few notes, one of them long
INSERT INTO crm.notes (contact_id, written_at, text)
SELECT n, now(), repeat('called again, ', 1 + n % 20) FROM generate_series(1, 2000) AS n;
