-- Which collations this database does not know.
-- $1 text[]: names
SELECT u.name
FROM pg_catalog.unnest($1::text[]) AS u (name)
WHERE NOT EXISTS (
    SELECT 1 FROM pg_catalog.pg_collation c
    WHERE c.collname = u.name
      AND c.collnamespace = 'pg_catalog'::pg_catalog.regnamespace
      AND c.collencoding IN (-1, pg_catalog.pg_char_to_encoding(pg_catalog.current_setting('server_encoding'))))
