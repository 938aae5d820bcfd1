-- Ends every backend whose application_name begins with $1 but not with $2.
-- $1 text: prefix, $2 text: prefix to leave alone
SELECT pid, pg_catalog.pg_terminate_backend(pid)
FROM pg_catalog.pg_stat_activity
WHERE pg_catalog.starts_with(application_name, $1)
  AND NOT pg_catalog.starts_with(application_name, $2)
  AND pid <> pg_catalog.pg_backend_pid()
