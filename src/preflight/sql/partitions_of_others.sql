-- Partitions in the schemas whose roots are elsewhere and have indexes.
-- $1 text[]: schemas
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS leaf, pg_catalog.format('%I.%I', pn.nspname, p.relname) AS root,
       pn.nspname AS schema
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
WHERE n.nspname = ANY ($1)
  AND pn.nspname <> ALL ($1)
  AND c.relispartition
  AND c.relkind IN ('r', 'p')
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_index x WHERE x.indrelid = p.oid)
ORDER BY 1
