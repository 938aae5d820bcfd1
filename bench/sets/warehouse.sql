-- warehouse (4 min): 2.5 million narrow rows with four indexes, JSON in TEXT, an inheritance family, foreign keys: 630 MB
-- That is at :scale 1, and so is the time of one round of all tools on two cores. Every file here runs in psql.
SELECT setseed(0.5);
CREATE SCHEMA bench;
SET search_path = bench;

CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, since date NOT NULL);
INSERT INTO customer
SELECT i, 'customer ' || i, date '2000-01-01' + i % 9000
FROM generate_series(1, (20000 * :scale)::int) AS i;

CREATE TABLE sale (
    id bigint PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customer,
    at timestamptz NOT NULL,
    amount numeric(12, 2) NOT NULL,
    region smallint NOT NULL
);
INSERT INTO sale
SELECT i, 1 + i % (20000 * :scale)::int, timestamptz '2020-01-01' + i * interval '7 s', (random() * 10000)::numeric(12, 2),
       (random() * 50)::smallint
FROM generate_series(1, (2500000 * :scale)::int) AS i;
CREATE INDEX sale_customer ON sale (customer_id);
CREATE INDEX sale_at ON sale (at);
CREATE INDEX sale_region_amount ON sale (region, amount);

-- From 400 bytes to 4 KB: TOAST compresses those over 2 KB.
CREATE TABLE document (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customer, body text NOT NULL);
INSERT INTO document
SELECT i, 1 + i % (20000 * :scale)::int,
       (SELECT '{"id": ' || i || ', "items": ['
               || string_agg('{"sku": "' || md5((i * 31 + k)::text) || '", "price": ' || k % 97 || '}', ', ') || ']}'
        FROM generate_series(1, 6 + i % 50) AS k)
FROM generate_series(1, (300000 * :scale)::int) AS i;

-- Every level has rows of its own.
CREATE TABLE event (id bigint NOT NULL, at timestamptz NOT NULL, kind text);
CREATE TABLE event_login (host text) INHERITS (event);
CREATE TABLE event_login_failed (reason text) INHERITS (event_login);
INSERT INTO event SELECT i, timestamptz '2024-01-01' + i * interval '1 s', 'k' || i % 7
FROM generate_series(1, (200000 * :scale)::int) AS i;
INSERT INTO event_login SELECT i, timestamptz '2024-01-01' + i * interval '1 s', 'login', 'h' || i % 999
FROM generate_series(1, (200000 * :scale)::int) AS i;
INSERT INTO event_login_failed SELECT i, timestamptz '2024-01-01' + i * interval '1 s', 'login', 'h' || i % 999, 'denied'
FROM generate_series(1, (100000 * :scale)::int) AS i;
CREATE INDEX event_login_at ON event_login (at);
VACUUM ANALYZE;
