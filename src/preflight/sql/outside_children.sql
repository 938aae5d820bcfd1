-- Children and partitions in other schemas: their rows would not move.
-- $1 text[]: schemas
SELECT pg_catalog.format('%I.%I, a child of %I.%I', cn.nspname, c.relname, pn.nspname, p.relname)
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
WHERE pn.nspname = ANY ($1)
  AND cn.nspname <> ALL ($1)
  AND p.relkind IN ('r', 'p')
