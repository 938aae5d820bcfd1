-- A part of :added more in the warehouse's large tables.
SET search_path = bench;
INSERT INTO sale
SELECT 1000000000 + i, 1 + i % (20000 * :scale)::int, timestamptz '2030-01-01' + i * interval '7 s', i % 10000, i % 50
FROM generate_series(1, (2500000 * :scale * :added)::int) AS i;
INSERT INTO document
SELECT 1000000000 + id, customer_id, body FROM document WHERE id <= 300000 * :scale * :added;
INSERT INTO event_login SELECT i, timestamptz '2025-01-01' + i * interval '1 s', 'login', 'h' || i % 999
FROM generate_series(1, (200000 * :scale * :added)::int) AS i;
