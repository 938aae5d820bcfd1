-- Who holds or awaits a lock on the unit's tables that an ACCESS SHARE lock has to wait for.
-- $1 text[]: schemas
-- A prepared transaction has no process, and is known by the lock on its own number.
SELECT pg_catalog.format('%I.%I %s by %s', n.nspname, c.relname, CASE WHEN l.granted THEN 'held' ELSE 'awaited' END,
           CASE WHEN l.pid IS NOT NULL THEN pg_catalog.format('pid %s (%s)', l.pid, coalesce(a.application_name, ''))
           ELSE pg_catalog.format('prepared transaction %L (COMMIT PREPARED or ROLLBACK PREPARED ends it)', p.gid) END)
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
LEFT JOIN (pg_catalog.pg_locks x JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid)
    ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid' AND x.virtualtransaction = l.virtualtransaction
WHERE l.locktype = 'relation'
  AND l.mode = 'AccessExclusiveLock'
  AND n.nspname = ANY ($1)
ORDER BY l.granted DESC, l.pid
LIMIT 5
