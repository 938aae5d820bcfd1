-- keyless (2 min): one table of seven million narrow rows without any key: 480 MB
SELECT setseed(0.5);
CREATE SCHEMA bench;

CREATE TABLE bench.reading (
    device int NOT NULL,
    at timestamptz NOT NULL,
    value double precision NOT NULL,
    state smallint NOT NULL,
    note text
);
INSERT INTO bench.reading
SELECT i % 5000, timestamptz '2024-01-01' + i * interval '100 ms', random() * 1000, i % 7, 'note ' || i % 1000
FROM generate_series(1, (7000000 * :scale)::int) AS i;
VACUUM ANALYZE;
