-- Tables of the schemas with row security.
-- $1 text[]: schemas
SELECT n.nspname AS schema, c.relname AS table, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1)
  AND (c.relrowsecurity OR c.relforcerowsecurity)
ORDER BY 1, 2
