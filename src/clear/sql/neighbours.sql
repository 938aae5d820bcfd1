-- Other sessions of the database that may have written and not yet told: none of ours, and none that has been in the
-- state in which it is since before the load was complete.
-- $1 bigint: the load's row in the ledger
-- since_s: how long it has been in its state; null where the server hides that from our role
SELECT a.pid,
       pg_catalog.format('pid %s (%s, %s)', a.pid, a.usename, nullif(a.application_name, '')) AS description,
       coalesce(a.state = 'idle', false) AS idle,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::float8 AS since_s
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = pg_catalog.current_database()
  AND a.backend_type = 'client backend'
  AND NOT pg_catalog.starts_with(a.application_name, 'sf/')
  AND NOT coalesce(a.state_change < (SELECT l.updated_at FROM schemaferry.load l WHERE l.id = $1), false)
