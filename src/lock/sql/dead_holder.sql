-- Ends a dead worker: the backend that holds its lock, unless that has been heard of meanwhile, and whatever else of
-- its attempt goes on, which may be at work on more schemas than one.
-- $1 int: pid, $2 float8: silence in seconds that counts as death
WITH dead AS MATERIALIZED (
    SELECT pid, pg_catalog.substring(application_name, '^sf/[0-9a-f]{16}/[0-9a-f]{8}/') AS attempt
    FROM pg_catalog.pg_stat_activity
    WHERE pid = $1
      AND extract(epoch FROM pg_catalog.clock_timestamp() - state_change) >= $2
)
SELECT pg_catalog.pg_terminate_backend(a.pid)
FROM pg_catalog.pg_stat_activity a
JOIN dead ON a.pid = dead.pid OR pg_catalog.starts_with(a.application_name, dead.attempt)
