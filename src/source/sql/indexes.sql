-- Indexes of the unit, each with its table.
-- $1 text[]: schemas
SELECT i.indexrelid AS oid, i.indrelid AS table
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1)
  AND c.relkind IN ('r', 'p', 'm')
