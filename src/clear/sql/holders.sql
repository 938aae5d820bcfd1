-- Who holds or awaits a lock on what a schema holds.
-- $1 oid: the schema
-- A prepared transaction has no process, and is known by the lock on its own number.
SELECT DISTINCT pg_catalog.format('%I.%I by %s', n.nspname, c.relname,
           CASE WHEN l.pid IS NOT NULL THEN pg_catalog.format('pid %s (%s)', l.pid, coalesce(a.application_name, ''))
           ELSE pg_catalog.format('prepared transaction %L (COMMIT PREPARED or ROLLBACK PREPARED ends it)', p.gid) END)
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
LEFT JOIN (pg_catalog.pg_locks x JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid)
    ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid' AND x.virtualtransaction = l.virtualtransaction
WHERE l.locktype = 'relation'
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
  AND n.oid = $1
  AND NOT pg_catalog.starts_with(coalesce(a.application_name, ''), 'sf/')
ORDER BY 1
