-- sixty (3 min): sixty schemas, five at a time, over one line of 100 Mbit/s, 5 ms away, with TLS: 1.1 GB
CREATE PROCEDURE fill(schema text, rows int) LANGUAGE plpgsql AS $$BEGIN
    EXECUTE format('CREATE SCHEMA %1$I; SET search_path = %1$I', schema);
    CREATE TABLE document (id int PRIMARY KEY, body text NOT NULL);
    INSERT INTO document
    SELECT i, (SELECT string_agg(md5((i * 31 + k)::text), ' ') FROM generate_series(1, 6 + i % 50) AS k)
    FROM generate_series(1, rows) AS i;
    CREATE TABLE sale (id int PRIMARY KEY, customer_id int NOT NULL, at timestamptz NOT NULL);
    INSERT INTO sale
    SELECT i, i * 7919 % 1000, timestamptz '2020-01-01' + i * interval '7 s' FROM generate_series(1, 2 * rows) AS i;
    CREATE INDEX ON sale (customer_id);
    CREATE TABLE event (at timestamptz NOT NULL);
    CREATE TABLE event_login (host text) INHERITS (event);
    INSERT INTO event_login SELECT timestamptz '2024-01-01' + i * interval '1 s', 'h' || i % 999
    FROM generate_series(1, rows) AS i;
    COMMIT;
END$$;
CALL fill('bench', (16000 * :scale)::int);
SELECT format('CALL public.fill(%L, %s)', 'bench_' || i, (16000 * :scale)::int) FROM generate_series(2, 60) AS i
\gexec
DROP PROCEDURE public.fill;
VACUUM ANALYZE;
