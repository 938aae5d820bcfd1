-- Tables of the unit that pg_dump will lock: ordinary tables, partitions, partitioned roots.
-- $1 text[]: schemas
SELECT c.oid, n.nspname, c.relname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1)
  AND c.relkind IN ('r', 'p')
ORDER BY c.oid
