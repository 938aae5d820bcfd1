SELECT setseed(0.5);
CREATE SCHEMA bench;
SET search_path = bench;

-- :tables is a query for the tables' numbers and rows.
SELECT format('CREATE TABLE sale_%1$s (id int PRIMARY KEY, at timestamptz NOT NULL, amount numeric(12, 2) NOT NULL, note text)', number)
FROM (:tables) AS wanted (number, rows) ORDER BY number \gexec

SELECT format('INSERT INTO sale_%s SELECT i, timestamptz ''2020-01-01'' + i * interval ''7 s'', (random() * 10000)::numeric(12, 2), ''note '' || md5(i::text) FROM generate_series(1, (%s * %s)::int) AS i',
              number, rows, :scale)
FROM (:tables) AS wanted (number, rows) ORDER BY number \gexec

SELECT format('CREATE INDEX ON sale_%s (amount)', number)
FROM (:tables) AS wanted (number, rows) ORDER BY number \gexec
VACUUM ANALYZE;
