-- Tables among some objects that the user may lock; DROP locks all others.
-- $1 oid[]: the objects
SELECT 'ONLY ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY ($1)
  AND c.relkind IN ('r', 'p')
  AND pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
ORDER BY c.oid
