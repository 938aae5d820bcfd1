-- Unlogged tables of a standby: they have no rows there.
-- $1 text[]: schemas
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1)
  AND c.relkind = 'r'
  AND c.relpersistence = 'u'
  AND pg_catalog.pg_is_in_recovery()
