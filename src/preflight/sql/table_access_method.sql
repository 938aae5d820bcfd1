-- Tables that another access method than heap stores.
-- $1 text[]: schemas
SELECT pg_catalog.format('%I.%I (%s)', n.nspname, c.relname, m.amname)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_am m ON m.oid = c.relam
WHERE n.nspname = ANY ($1)
  AND c.relkind IN ('r', 'm')
  AND m.amname <> 'heap'
