-- Columns that may hold the numbers of large objects, where the database has any.
-- $1 text[]: schemas
SELECT pg_catalog.format('column %I.%I.%I', n.nspname, c.relname, a.attname)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = ANY ($1)
  AND c.relkind IN ('r', 'p')
  AND NOT a.attisdropped AND a.attnum > 0
  AND (t.oid = 'pg_catalog.oid'::pg_catalog.regtype OR t.typname = 'lo')
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_largeobject_metadata)
