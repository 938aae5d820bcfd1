-- Tables by their names. A name is not cast: that asks for the use of its schema, which the loading user may have given away.
-- $1 text[]: schemas, $2 text[]: names, both of one length
SELECT c.oid
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS w (schema, name)
JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
