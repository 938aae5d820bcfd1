-- Ends a backend, unless it has been heard of meanwhile.
-- $1 int: pid, $2 float8: silence in seconds that counts as death
SELECT pg_catalog.pg_terminate_backend(pid)
FROM pg_catalog.pg_stat_activity
WHERE pid = $1
  AND extract(epoch FROM pg_catalog.clock_timestamp() - state_change) >= $2
