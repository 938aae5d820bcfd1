-- small (3 min): three thousand tables of a hundred rows, every third with a foreign key to the one before and a serial
CREATE SCHEMA bench;
SET search_path = bench;

SELECT format('CREATE TABLE t%s (id %s PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL%s)', i,
              CASE i % 3 WHEN 0 THEN 'serial' ELSE 'int' END,
              CASE i % 3 WHEN 0 THEN format(', before int NOT NULL REFERENCES t%s', i - 1) END)
FROM generate_series(1, (3000 * :scale)::int) AS i ORDER BY i \gexec

SELECT format('INSERT INTO t%s (name, at%s) SELECT ''row '' || k, timestamptz ''2024-01-01'' + k * interval ''1 h''%s FROM generate_series(1, 100) AS k',
              i, CASE i % 3 WHEN 0 THEN ', before' ELSE ', id' END, ', k')
FROM generate_series(1, (3000 * :scale)::int) AS i ORDER BY i \gexec
VACUUM ANALYZE;
