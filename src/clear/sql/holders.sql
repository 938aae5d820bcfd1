-- Who holds or awaits a lock on what a schema holds.
-- $1 oid: the schema
SELECT DISTINCT pg_catalog.format('%I.%I by pid %s (%s)', n.nspname, c.relname, l.pid, coalesce(a.application_name, ''))
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation'
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
  AND n.oid = $1
  AND NOT pg_catalog.starts_with(coalesce(a.application_name, ''), 'sf/')
ORDER BY 1
