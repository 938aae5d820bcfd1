-- The policies of some schemas.
-- $1 text[]: schemas
SELECT n.nspname AS schema, c.relname AS table, p.polname AS name
FROM pg_catalog.pg_policy p
JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1)
