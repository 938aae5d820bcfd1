-- huge (2 min): one value of 800 MB in TEXT, for the clients' memory (:scale has no meaning beyond 1: a value holds 1 GB)
CREATE SCHEMA bench;

CREATE TABLE bench.huge (id int PRIMARY KEY, body text NOT NULL);
ALTER TABLE bench.huge ALTER COLUMN body SET STORAGE EXTERNAL;
INSERT INTO bench.huge
SELECT 1, repeat((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 31250) AS i), (800 * least(:scale, 1))::int);
VACUUM ANALYZE;
