-- Relations that this session has locked, because it has read them, and that are none of the unit's as its snapshot shows
-- it: a name stood for something else meanwhile.
-- $1 text[]: schemas
SELECT coalesce(c.oid::pg_catalog.regclass::text, l.relation::text) AS relation
FROM pg_catalog.pg_locks l
LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_catalog.pg_backend_pid()
  AND l.locktype = 'relation'
  AND l.relation >= 16384
  AND NOT coalesce(c.relkind IN ('i', 'I', 't') OR c.relkind IN ('r', 'p', 'S') AND n.nspname = ANY ($1), false)
LIMIT 1
