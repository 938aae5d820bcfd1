-- Other sessions of the database that may have written and not yet told: none of ours. One statement may commit many times.
-- since_s: how long it has been in its state; null where the server hides that from our role
SELECT a.pid,
       pg_catalog.format('pid %s (%s, %s)', a.pid, a.usename, nullif(a.application_name, '')) AS description,
       coalesce(a.state = 'idle', false) AS idle,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::float8 AS since_s
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = pg_catalog.current_database()
  AND (a.backend_type = 'client backend' OR pg_catalog.starts_with(a.backend_type, 'logical replication'))
  AND a.backend_type <> 'logical replication launcher'
  AND NOT pg_catalog.starts_with(a.application_name, 'sf/')
