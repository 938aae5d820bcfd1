-- Who holds or awaits a lock on the unit's tables that an ACCESS SHARE lock has to wait for.
-- $1 text[]: schemas
SELECT l.pid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS relation,
       l.granted, coalesce(a.application_name, '') AS application_name
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation'
  AND l.mode = 'AccessExclusiveLock'
  AND n.nspname = ANY ($1)
ORDER BY l.granted DESC, l.pid
LIMIT 5
