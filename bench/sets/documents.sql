-- documents (2 min): JSON documents of 1 to 8 MB in TEXT: 600 MB before compression
CREATE SCHEMA bench;

CREATE TABLE bench.document (id int PRIMARY KEY, body text NOT NULL);
INSERT INTO bench.document
SELECT i, (SELECT '{"id": ' || i || ', "articles": ['
                  || string_agg('{"sku": "' || md5((i * 100003 + k)::text) || '", "name": "article ' || k
                                || '", "price": ' || k % 9973 / 100.0 || ', "stock": {"place": "north", "count": '
                                || k % 97 || '}}', ', ')
                  || ']}'
           FROM generate_series(1, 7700 * (1 + i % 8)) AS k)
FROM generate_series(1, (132 * :scale)::int) AS i;
VACUUM ANALYZE;
