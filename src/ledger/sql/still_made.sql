-- Which foreign keys stand, in the order they are asked for.
-- $1 text[]: schemas, $2 text[]: tables, $3 text[]: names, all of one length
SELECT (SELECT k.oid FROM pg_catalog.pg_constraint k
        JOIN pg_catalog.pg_class c ON c.oid = k.conrelid AND c.relname = w.table_name
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = w.schema
        WHERE k.conname = w.name AND k.contype = 'f') AS oid
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]))
     WITH ORDINALITY AS w (schema, table_name, name, position)
ORDER BY w.position
