-- Ends every backend whose application_name begins with $1 but not with $2. The session of a worker that waits for the
-- lock is left alone while it asks for it.
-- $1 text: prefix, $2 text: prefix to leave alone, $3 float8: silence in seconds that counts as death; 0 for whoever it is
SELECT pid, pg_catalog.pg_terminate_backend(pid)
FROM pg_catalog.pg_stat_activity
WHERE pg_catalog.starts_with(application_name, $1)
  AND NOT pg_catalog.starts_with(application_name, $2)
  AND pid <> pg_catalog.pg_backend_pid()
  AND NOT (pg_catalog.split_part(application_name, '/', 4) = 'lock'
           AND extract(epoch FROM pg_catalog.clock_timestamp() - state_change) < $3)
