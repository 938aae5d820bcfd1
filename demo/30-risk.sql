-- Risk, and beside it a schema whose name differs by one capital: it must never be taken for the other.
CREATE SCHEMA risk;

CREATE DOMAIN risk.probability AS double precision CHECK (VALUE BETWEEN 0 AND 1);
CREATE TYPE risk.range AS (low numeric, high numeric);

CREATE TABLE risk.position (
    id         integer PRIMARY KEY,
    parent_id  integer REFERENCES risk.position DEFERRABLE INITIALLY DEFERRED,
    default_pd risk.probability,
    loss       risk.range,
    scenario   jsonb,
    "Weird "" name" text
);
INSERT INTO risk.position
SELECT i, nullif(i / 2, 0), (i % 1000) / 1000.0, ROW(i, i * 2)::risk.range, jsonb_build_object('stress', i, 'path', ARRAY[i, i + 1]), chr(9731)
FROM generate_series(1, 60000) i;

CREATE TABLE risk.measure (
    at    timestamp NOT NULL,
    kind  text NOT NULL,
    value double precision
) PARTITION BY HASH (kind);
CREATE TABLE risk.measure_0 PARTITION OF risk.measure FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE risk.measure_1 PARTITION OF risk.measure FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO risk.measure
SELECT timestamp '2025-01-01' + i * interval '10 seconds', 'kind ' || i % 50,
       CASE i % 1000 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE ln(i) END
FROM generate_series(1, 150000) i;
CREATE INDEX measure_at ON risk.measure USING brin (at);

CREATE TABLE risk.nothing ();
INSERT INTO risk.nothing SELECT FROM generate_series(1, 3);

CREATE AGGREGATE risk.product(double precision) (SFUNC = float8mul, STYPE = double precision, INITCOND = '1');
CREATE RULE no_delete AS ON DELETE TO risk.position DO INSTEAD NOTHING;

CREATE SCHEMA "Risk";
CREATE TABLE "Risk".position (id integer PRIMARY KEY, note text);
INSERT INTO "Risk".position VALUES (1, 'stays where it is');
